package relay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/fair"
	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/parking"
	"github.com/penstock/penstock/internal/problem"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/timing"
)

// viaName is what the relay calls itself in Via (RFC 9110, section 7.6.3) and Cache-Status.
const viaName = "penstock"

// A call is one request of a client on its way, and its context.
type call struct {
	context.Context
	target *target
	trace  fair.Trace
	cancel context.CancelCauseFunc
	limit  limit       // how long it waits
	until  time.Time   // when that ends
	early  bool        // it waits before it enters the cache, which has nothing for it
	flying atomic.Bool // it is with the target
	body   *spool.Body
	uri    string // path and query as the client asks for them, of what is to be stored

	trailer *clientconn.Trailer
	fault   atomic.Pointer[clientconn.Fault] // of the client's body

	setback atomic.Pointer[string] // how the last attempt failed
}

type callKey struct{}

// Value finds the call itself.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// Why a call is ended.
var (
	errStopping = errors.New("the relay is stopping")
	errLate     = errors.New("its turn did not come in time")
	errRefused  = errors.New("it was not accepted in time")
	errFlood    = errors.New("interim answers have no end")

	ours = []error{errStopping, errLate, errRefused, errFlood}
)

// ServeHTTP passes a request on, and answers it.
func (r *Relay) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	w := clientconn.NewWriter(rw, r.Stall)
	if strings.HasPrefix(req.URL.Path, ownPath) {
		r.serveOwn(w, req)
		return
	}
	parked := false
	defer func() {
		if !parked { // else it is not answered yet
			r.tally.end()
		}
	}()
	if was := parking.Waited(req.Context()); was != nil {
		c := was.Call.(*call)
		if was.Err == fair.ErrLeft {
			_, was.Err = r.expiry(c)
		}
		r.serve(w, req, c, was)
		return
	}
	r.tally.begin()
	if r.stopping.Load() {
		w.Header().Set("Connection", "close")
		r.refuse(w, problem.Later(status.RelayStopping, r.StopTimeout))
		return
	}
	t, why := r.target(req)
	if why != nil {
		r.refuse(w, why)
		return
	}
	if r.CacheBytes > 0 && storable(req.Method) {
		if resp := r.cache.Stored(t.asked(req)); resp != nil {
			r.answerStored(w, t, resp)
			return
		}
	}
	if r.async(req) {
		r.accept(w, rw, req, t)
		return
	}
	c := &call{target: t, trailer: clientconn.TrailerOf(req), limit: r.patience(req.Header)}
	c.until = time.Now().Add(c.limit.Duration)
	c.trace.Client = clientconn.NameOf(req)
	c.early = !storable(req.Method) || r.CacheBytes == 0
	if c.early {
		if why := r.admit(c, max(req.ContentLength, 0)); why != nil {
			r.refuse(w, why)
			return
		}
	}
	parked = r.serve(w, req, c, nil)
}

// serve answers a request that was admitted, or may be in the cache. If it has waited already, was
// says what became of that. It reports whether the request was parked.
func (r *Relay) serve(
	w *clientconn.Writer, req *http.Request, c *call, was *parking.Wait,
) (parked bool) {
	ctx, cancel := context.WithCancelCause(req.Context())
	defer cancel(nil)
	c.Context, c.cancel = ctx, cancel
	w.Flood = func() { cancel(errFlood) }
	ctx = fair.WithTrace(c, &c.trace)
	req = req.WithContext(ctx)
	if was != nil && was.Turn != nil {
		defer was.Turn.Release()
	} else if was != nil {
		if slices.Contains(ours, was.Err) {
			cancel(was.Err)
		}
		r.failed(w, req, was.Err)
		return false
	}
	at := c.until
	if was != nil { // in an outage it is due earlier, and has waited for a part of that
		at, _ = r.expiry(c)
	}
	defer r.expireAt(c, at).Stop()
	if req.Body != nil && req.Body != http.NoBody {
		if why := r.take(w, req, c); why != nil {
			r.refuse(w, why)
			return false
		}
	}
	if w.Body != nil {
		defer w.Body.Stop()
	}
	if c.body != nil {
		defer r.closeBody(c.body)
	}
	if c.early {
		// Here, and not below, where a goroutine that waits has a stack of four times the size.
		turn, why := r.turn(w, req, c, was)
		if turn == nil {
			if why != nil {
				r.failed(w, req, why)
			}
			return why == nil
		}
		defer turn.Release()
		req = req.WithContext(turn.Context(ctx))
	}
	broken := true
	defer func() {
		if broken { // the answer was, by a panic: its status is worth knowing all the same
			w.FlushHead()
		}
	}()
	r.proxy.ServeHTTP(w, req)
	broken = false
	return false
}

// turn waits for a request's turn, unless it has. It returns neither that nor an error if the
// request is parked.
func (r *Relay) turn(
	w *clientconn.Writer, req *http.Request, c *call, was *parking.Wait,
) (*fair.Turn, error) {
	if was != nil {
		return was.Turn, nil
	}
	if r.park(w, req, c) {
		return nil, nil
	}
	if w.Body != nil {
		defer clientconn.Watch(req.Context(), func() { c.cancel(context.Canceled) })()
	}
	return r.fair.Wait(req.Context(), c.target.key, max(req.ContentLength, 0))
}

// parkFrom is how many requests wait for a target when those that come then are parked.
const parkFrom = 400

// park has a request wait outside of net/http if many wait already. If it reports true, the handler
// has nothing more to do.
func (r *Relay) park(w *clientconn.Writer, req *http.Request, c *call) bool {
	if r.lot == nil || c.body != nil || r.fair.Queue(c.target.key).Waiting < r.parkFrom {
		return false
	}
	due := func() (time.Time, bool) { return r.due(c) }
	join := func(turn func()) *fair.Place {
		c.Context, c.cancel = r.base, nil // the request's own ends now
		size := max(req.ContentLength, 0)
		return r.fair.Join(fair.WithTrace(c, &c.trace), c.target.key, size, turn)
	}
	return r.lot.Park(w.Conn, req, headBytes, r.look(c.until), due, c, join)
}

// refuse answers a request that is not passed on.
func (r *Relay) refuse(w *clientconn.Writer, p *problem.Document) {
	r.tally.refuse(p)
	w.LimitRest()
	if h := w.Header(); h["Server-Timing"] == nil {
		h.Set("Server-Timing", timing.Value(nil))
	}
	if p.Status == http.StatusRequestTimeout { // the rest will not come either
		w.Header().Set("Connection", "close")
	}
	p.Write(w)
}

// small is the size up to which a body is read before its request's turn: so it is seen when its
// client goes away, which is not sent then.
const small = 64 << 10

// take makes the client's body one that can be sent, and if possible sent again. What may not be
// repeated and is large, or must be asked for first, streams through.
func (r *Relay) take(w *clientconn.Writer, req *http.Request, c *call) *problem.Document {
	body := clientconn.Guard(w.ResponseWriter, req.Body, r.Stall, &c.fault)
	expects := strings.EqualFold(req.Header.Get("Expect"), "100-continue")
	switch size := req.ContentLength; {
	case 0 < size && size <= small && !expects:
		data := make([]byte, size)
		if _, err := io.ReadFull(body, data); err != nil {
			fault := cmp.Or(c.fault.Load(),
				&clientconn.Fault{Err: err, Status: http.StatusBadRequest})
			return problem.Refusal(fault.Status, status.ClientFault(fault.Err))
		}
		req.GetBody = func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data)), nil
		}
		req.Body, _ = req.GetBody()
	case nethttp.Repeatable(req):
		c.body = r.Spool.Keep(body, size)
	default:
		req.Body = body
	}
	if c.body != nil || req.Body == body {
		// An answer that comes early must not wait for the rest of the body.
		_ = w.Conn.EnableFullDuplex()
		w.Body = body
	}
	return nil
}

// closeBody frees what is kept of a body, and warns if that was not all of it.
func (r *Relay) closeBody(b *spool.Body) {
	defer b.Close()
	fault := (*spool.ClientError)(nil)
	if err := b.Again(filebody.Sent{}); err != nil && !errors.As(err, &fault) {
		r.notKept.Do(func() { r.Log.Warn(status.SentOnce(err)) })
	}
}

// rewrite makes the request to the target. ReverseProxy has taken away what is about the client's
// connection (RFC 9110, section 7.6.1), and its X-Forwarded headers.
func (r *Relay) rewrite(p *httputil.ProxyRequest) {
	c := callOf(p.In.Context())
	t, out := c.target, p.Out
	t.aim(p)
	if r.Forwarded {
		p.SetXForwarded()
	}
	if n, err := strconv.Atoi(out.Header.Get("Max-Forwards")); err == nil && n > 0 &&
		out.Method == http.MethodOptions { // RFC 9110, section 7.6.2
		out.Header.Set("Max-Forwards", strconv.Itoa(n-1))
	}
	out.Header.Del(clientconn.NameHeader)
	out.Header.Add("Via", viaOf(p.In.Proto))
}

// answerStored answers with what is stored, which costs the client no wait.
func (r *Relay) answerStored(w http.ResponseWriter, t *target, resp *http.Response) {
	defer resp.Body.Close()
	h := w.Header()
	maps.Copy(h, resp.Header)
	t.localise(h)
	h.Add("Via", viaOf(resp.Proto))
	h.Add("Server-Timing", timing.Value(nil))
	r.tally.answer()
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // the client may go away at any time
}

// viaOf is what Via says of a message that came by the given protocol.
func viaOf(proto string) string {
	if proto == "HTTP/1.1" { // without an allocation, as most are
		return "1.1 " + viaName
	}
	return strings.TrimPrefix(proto, "HTTP/") + " " + viaName
}

// answered completes the answer that goes to the client.
func (r *Relay) answered(resp *http.Response) error {
	if resp.StatusCode < 200 { // also 101, since none is asked to switch protocols
		return noAnswerError(resp.StatusCode)
	}
	if len(resp.Trailer) > 0 && resp.Request.Method != http.MethodHead {
		resp.Header.Del("Content-Length") // of HTTP/2: in HTTP/1.1 only chunks have a trailer
	}
	resp.Header.Add("Via", viaOf(resp.Proto))
	waited := (*fair.Trace)(nil)
	if c := callOf(resp.Request.Context()); c != nil {
		waited = &c.trace
		c.target.localise(resp.Header)
	}
	resp.Header.Add("Server-Timing", timing.Value(waited))
	r.tally.answer()
	return nil
}

// A noAnswerError is the status of an answer that is no final one.
type noAnswerError int

func (e noAnswerError) Error() string {
	return fmt.Sprintf("the server's last answer has the status %d, which answers nothing", int(e))
}

// failed answers a request that has no answer of the target's.
func (r *Relay) failed(rw http.ResponseWriter, req *http.Request, err error) {
	w := rw.(*clientconn.Writer)
	c := callOf(req.Context())
	fault, cause := c.fault.Load(), context.Cause(req.Context())
	why := (*problem.Document)(nil)
	w.Header().Set("Server-Timing", timing.Value(&c.trace))
	if r.CacheBytes > 0 { // the reason is lost with the answer (RFC 9211, section 2.2)
		w.Header().Set("Cache-Status", viaName+"; fwd=miss")
	}
	gone := cause != nil && !slices.Contains(ours, cause) // the client
	switch {
	case fault != nil && gone && fault.Status == http.StatusBadRequest:
		// Perhaps it has only ended its side, and reads why that was too early.
		r.tally.lose()
		problem.Refusal(fault.Status, status.ClientFault(fault.Err)).Write(w)
		return
	case fault != nil:
		r.refuse(w, problem.Refusal(fault.Status, status.ClientFault(fault.Err)))
		return
	case gone:
		r.tally.lose()
		panic(http.ErrAbortHandler)
	case errors.As(err, &why):
		r.refuse(w, why)
		return
	}
	p := r.problemOf(c, req, err, cause)
	w.Header().Set("Via", viaOf("HTTP/1.1"))
	r.tally.fail()
	r.note(req.Method+" "+req.URL.Path, p.Detail)
	p.Write(w)
}
