package throttle

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/hint"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/openfiles"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/standing"
)

const (
	defaultUpstreams = 1024

	// passedOver is how many upstreams in use are passed over, at most, to make room for a new one:
	// to look at all of them takes milliseconds where there are thousands.
	passedOver = 8

	// defaultMaxWait is as long as quotas by the hour ask for.
	defaultMaxWait = time.Hour

	// manyIdle is how many idle connections an own base transport keeps to a
	// server, or as many as Limits allow in flight where that is more. That limit
	// may be raised later, so it is no reason to keep fewer.
	manyIdle = 256
)

// A Transport is an [http.RoundTripper] that sends each request when its
// server's limits allow it: it waits for a permit and then for a token, and it
// holds the permit until the response's body is closed or read to its end, or the
// request's context ends. Put it into an [http.Client]'s Transport field. The zero
// value finds the limits by itself; see [Limits].
//
// Closing a body before its end keeps the connection of HTTP/1 if no more than
// 256 KiB are left and come within 50 ms, for which Close waits.
//
// A body that is never closed keeps its permit, and soon nothing more is sent. Its
// permit comes back once it is garbage, with an [Event] of the kind [Leaked].
//
// By default each scheme and host is an upstream with limits of its own. When a
// server answers 429 or 503 and says when to come back, by Retry-After (RFC 9110,
// section 10.2.3) or by the headers of a quota, nothing more is sent to that
// upstream until then. The same holds for any other refusal with Retry-After, except
// 400, 401, 404, 405, 408, 409 to 415, 422, 501 and 505: those speak of one request,
// and so does their Retry-After. One that refuses all the same, that answers 500 or
// 502 and accepts nothing, or that cannot be reached, be it for a proxy, TLS or DNS,
// gets one request at a time, after 2, 4, 8, 10, 10, … seconds, until it accepts one.
//
// The package retry, where it is above, says how each request fared. To a server
// that accepts nothing the newest of those that were not sent yet is sent, out of
// turn: those that are first in line may be what it refuses. And where retry has
// found that the cause of its refusals is in a request itself, these teach
// nothing about the limits; a pause that they ask for holds all the same.
//
// Each attempt pays for itself: so do redirects, what a client above retries,
// and the requests that net/http sends once more by itself when a kept-alive
// connection turns out to be dead. Nothing is retried here, and no answer is
// changed: see the package retry, which goes above.
//
// What signs requests with the time (bearer tokens that expire, HMAC, SigV4)
// belongs below, into Base: above, signatures grow old while requests wait.
//
// It is safe for concurrent use. Its fields must not change once it is in use,
// and it must not be copied.
type Transport struct {
	// Base sends the requests. If nil, a clone of [http.DefaultTransport] that
	// keeps enough idle connections to a host for many workers, or, if that is no
	// [*http.Transport], the default itself.
	//
	// Set MaxIdleConnsPerHost of an http.Transport of your own to as many requests as may
	// be in flight. It is 2 otherwise, and most requests of many workers then make a new
	// connection. Proxies, TLS and the like are also set on Base.
	//
	// If Base makes a second request with the same context (to fetch a token, say), that
	// one is paced, too, and reported as [Resent].
	Base http.RoundTripper

	// Limits are those of each upstream, unless LimitsFor is set, which returns
	// them by key. It is called for the first request to an upstream, and by each
	// of several that come at once. A request to an upstream whose limits are not
	// valid fails.
	Limits    Limits
	LimitsFor func(key string) Limits

	// Key returns the key of the upstream that a request belongs to. If nil, that is its
	// scheme and host, with the port if it is not the default one. Keys are in all events:
	// to limit each API key, return a name or a hash of it.
	Key func(*http.Request) string

	// MaxUpstreams is how many upstreams are remembered, at some 15 KiB each; see
	// [Transport.Upstream]. If zero or less, 1,024.
	MaxUpstreams int

	// Weight returns how many tokens a request costs. If nil, 1.
	Weight func(*http.Request) int

	// Timeout is the longest that one attempt may take, in which waiting for a
	// permit, a token or a cool-down does not count, reading the answer does. It
	// ends with a [*TimeoutError]. If zero, there is no limit. [http.Client.Timeout] and a
	// deadline of the request's context also run while the request waits: they
	// count as a timeout of the server if the request was in flight for more than
	// four times the usual latency.
	Timeout time.Duration

	// MaxWait is the longest cool-down that a request waits for. While more of it is
	// left, requests fail at once with a [*PausedError], which says when to come back,
	// whether they were waiting already or have just arrived. If zero or less, 1 hour;
	// with [math.MaxInt64] none is too long.
	MaxWait time.Duration

	// Observe, if set, is called with what happens, by many goroutines at once and
	// with no lock held. Requests wait until it returns.
	Observe func(Event)

	own     sync.Once
	ownBase *http.Transport // a clone of the default

	mu struct {
		sync.Mutex
		upstreams map[string]*list.Element
		recent    list.List // of *entry, the latest first
		stop      error
		stopped   bool
	}
}

// An entry is an upstream that is not dropped while it has users: those that were given it, and may
// not be seen in it yet.
type entry struct {
	key      string
	upstream *Upstream
	users    atomic.Int64
}

func (e *entry) leave() { e.users.Add(-1) }

// An EventKind is what an [Event] is about. The zero value is not used.
type EventKind uint8

const (
	Sent   EventKind = iota + 1 // a request has its permit and token and leaves
	Resent                      // net/http sends it once more by itself
	Paused                      // an answer began or prolonged a cool-down
	Ended                       // the answer's head is here, or there will be none
	// the phase of the controller, or by a tenth and more what it found
	Changed
	// the answer's body was neither closed nor read to its end, and is garbage
	Leaked
)

var eventKinds = [...]string{Sent: "sent", Resent: "resent", Paused: "paused", Ended: "ended", Changed: "changed", Leaked: "leaked"}

// String returns the kind in a word.
func (k EventKind) String() string {
	if k >= Sent && int(k) < len(eventKinds) {
		return eventKinds[k]
	}
	return "unknown event"
}

// An Event is something that a [Transport] did. All texts in it may be logged:
// no header value of the request, no user, password or query of a URL is in
// them, even where the server sent one back. Request is the request itself, and
// Key is whatever [Transport.Key] returned.
type Event struct {
	Kind    EventKind
	Key     string        // the upstream's
	Request *http.Request // as given, with its secrets; not to be changed

	Waited time.Duration // Sent: for the permit and the token
	// Sent, Resent: when its token was given out; Observe may be called somewhat later
	Token time.Time

	// Ended: how it went. Latency is the time since the token. Resent: Outcome is
	// Overloaded if the server did not want the request, [Ignored] if an idle
	// connection was dead.
	Status  int   // 0: no answer
	Err     error // why there is none; what errors.As finds in it is as RoundTrip returned it
	Outcome Outcome
	Latency time.Duration

	// Paused: until when, and who asked for it.
	Until  time.Time
	Source string

	// Changed: what is in force from now on, and why, for people to read.
	Phase  Phase
	Limit  int        // requests in flight; [math.MaxInt]: no limit
	Rate   rate.Limit // requests a second; [rate.Inf]: no limit
	Reason string

	// Malformed says that the answer (Ended) has throttling headers that cannot
	// be understood; they were passed over.
	Malformed bool
}

// RoundTrip sends the request when its upstream's limits allow it. While it
// waits it fails with the cause of the request's context, when that ends, or
// with a [*StopError] or a [*PausedError]. Other errors are Base's, as they are.
//
// A request whose deadline comes before the end of a cool-down waits until its
// deadline, since the cool-down may end sooner by [Upstream.Resume]. Its error then
// names the end of the cool-down, which its method RetryAt returns.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		closeBody(req)
		return nil, errors.New("throttle: the request has no URL")
	}
	key := t.key(req)
	entry := t.enter(key)
	defer entry.leave()
	u := entry.upstream
	weight := 1
	if t.Weight != nil {
		weight = t.Weight(req)
	}
	begin := time.Now()
	permit, err := u.Acquire(req.Context(), weight)
	if err != nil {
		closeBody(req)
		if req.Context().Err() != nil || err == context.DeadlineExceeded {
			err = u.waitError(err)
		}
		return nil, err
	}
	a := &attempt{t: t, u: u, key: key, req: req, weight: weight, permit: permit, start: time.Now()}
	a.begin, a.waited = a.start, a.start.Sub(begin)
	returned := false
	defer func() {
		if !returned { // Base or Observe has panicked
			a.release()
		}
	}()
	a.observe(Event{Kind: Sent, Waited: a.waited, Token: permit.token})

	resp, err := t.base().RoundTrip(a.request())
	if err != nil {
		if err = a.timeout(err); a.refuse != nil {
			err = a.refuse
		}
		a.ended(nil, err)
		a.release()
	} else {
		a.ended(resp, nil)
		// its stream keeps the response, whose body could then not be seen to be garbage
		if resp.ProtoMajor == 2 {
			r := *resp
			resp = &r
		}
		resp.Request = req // Base has seen a copy
		resp.Body = a.body(resp)
	}
	returned = true
	return resp, err
}

// Upstream returns the upstream of a key: its statistics and live limits. There
// is one for each key that was asked for. Beyond MaxUpstreams the one that was idle
// longest is forgotten, with its statistics and all that it had learned. Kept in any
// case are those in use, paused or down, those whose bucket is not full, and those
// whose limits were changed by SetLimits, until they are set back. Ask for an
// upstream each time: one that was forgotten is not used any more.
func (t *Transport) Upstream(key string) *Upstream {
	e := t.enter(key)
	e.leave()
	return e.upstream
}

// enter returns the upstream of a key, which is not dropped before leave is called.
func (t *Transport) enter(key string) *entry {
	t.mu.Lock()
	e := t.enterLocked(key)
	t.mu.Unlock()
	if e != nil {
		return e
	}
	limits := t.Limits
	if t.LimitsFor != nil {
		limits = t.LimitsFor(key) // which may take its time
	}
	u := NewUpstream(limits)
	u.line.maxPause = t.MaxWait
	if t.MaxWait <= 0 {
		u.line.maxPause = defaultMaxWait
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.enterLocked(key); e != nil { // somebody was faster
		return e
	}
	if t.mu.stopped {
		u.Stop(t.mu.stop)
	}
	if t.mu.upstreams == nil {
		t.mu.upstreams = make(map[string]*list.Element)
	}
	t.dropLocked()
	e = &entry{key: key, upstream: u}
	e.users.Store(1)
	t.mu.upstreams[key] = t.mu.recent.PushFront(e)
	return e
}

// enterLocked returns nil if there is no upstream yet. It requires that mu is held.
func (t *Transport) enterLocked(key string) *entry {
	at := t.mu.upstreams[key]
	if at == nil {
		return nil
	}
	t.mu.recent.MoveToFront(at)
	e := at.Value.(*entry)
	e.users.Add(1)
	return e
}

// dropLocked makes room for one more upstream, by forgetting those that were idle longest. It
// requires that mu is held.
func (t *Transport) dropLocked() {
	most := t.MaxUpstreams
	if most <= 0 {
		most = defaultUpstreams
	}
	for passed := 0; len(t.mu.upstreams) >= most && passed < passedOver; {
		at := t.mu.recent.Back()
		if e := at.Value.(*entry); e.users.Load() == 0 && e.upstream.idle() {
			t.mu.recent.Remove(at)
			delete(t.mu.upstreams, e.key)
		} else {
			t.mu.recent.MoveToFront(at)
			passed++
		}
	}
}

// Stop fails all requests that wait, and all that come later, with a
// [*StopError] that wraps err. Requests in flight are left to finish. Only the
// first call counts.
func (t *Transport) Stop(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.stopped {
		return
	}
	t.mu.stop, t.mu.stopped = err, true
	for _, at := range t.mu.upstreams {
		at.Value.(*entry).upstream.Stop(err)
	}
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	d, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // replaced, to trace requests or to answer them in a test
		return http.DefaultTransport
	}
	t.own.Do(func() {
		t.ownBase = d.Clone()
		t.ownBase.MaxIdleConns = openfiles.Limit() / 2 // the others are for connections in use
		t.ownBase.MaxIdleConnsPerHost = max(manyIdle, t.Limits.InFlight)
	})
	return t.ownBase
}

func (t *Transport) key(req *http.Request) string {
	if t.Key != nil {
		return t.Key(req)
	}
	return nethttp.Origin(req.URL)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// An attempt is one request between its token and the end of its answer.
type attempt struct {
	t      *Transport
	u      *Upstream
	key    string
	req    *http.Request // the caller's
	weight int
	permit *Permit
	begin  time.Time // the token's instant

	ctx     context.Context
	cancel  context.CancelCauseFunc // ends ctx, so that gotConn can refuse
	trace   httptrace.ClientTrace
	timer   *time.Timer  // of Timeout; if nil, none
	limited bool         // the body is sent under a bandwidth limit
	counted bool         // whether read is counted
	read    atomic.Int64 // bytes of the body
	wanted  bool         // net/http looked for a connection
	conns   int          // connections got; net/http gets them one after the other
	last    httptrace.GotConnInfo
	fresh   int           // of these, the new ones
	start   time.Time     // the first begin
	waited  time.Duration // before
	wrote   atomic.Int64  // when all of the request was written, since start; if zero, it was not
	refuse  error         // why gotConn refused to send; if nil, it did not
	unhook  func() bool   // ends the watch over ctx while the body is read
}

// request returns the request to send: the caller's must not be changed.
func (a *attempt) request() *http.Request {
	ctx, cancel := context.WithCancelCause(a.req.Context())
	a.cancel = cancel
	if d := a.t.Timeout; d > 0 {
		a.timer = time.AfterFunc(d, func() { a.cancel(&TimeoutError{After: d}) })
	}
	if outer := httptrace.ContextClientTrace(ctx); outer != nil {
		a.trace, ctx = *outer, untraced{ctx}
	}
	a.trace.GetConn = both(func(string) { a.wanted = true }, a.trace.GetConn)
	a.trace.GotConn = both(a.connected, a.trace.GotConn)
	a.trace.WroteRequest = both(a.wroteRequest, a.trace.WroteRequest)
	a.ctx = httptrace.WithClientTrace(ctx, &a.trace)
	r := a.req.WithContext(a.ctx)
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	// Otherwise the body passes untouched, which lets files go by sendfile.
	a.limited = a.u.bandwidth.limited()
	if a.counted = a.limited || r.URL.Scheme == "https" && long(bodySize(r)); !a.counted {
		return r
	}
	r.Body = a.wrap(r.Body)
	if get := r.GetBody; get != nil {
		r.GetBody = func() (io.ReadCloser, error) {
			body, err := get()
			if err != nil {
				return nil, err
			}
			return a.wrap(body), nil
		}
	}
	return r
}

// untraced hides the trace that an attempt's own one calls already: httptrace would join the two by
// reflection, at three times the cost of all else that is done here.
type untraced struct{ context.Context }

func (c untraced) Value(key any) any {
	v := c.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

// both returns a hook that calls ours and then theirs, which may be nil.
func both[T any](ours, theirs func(T)) func(T) {
	if theirs == nil {
		return ours
	}
	return func(info T) {
		ours(info)
		theirs(info)
	}
}

// wrap returns a body that counts what is read of it, and reads no faster than the
// bandwidth allows.
func (a *attempt) wrap(body io.ReadCloser) io.ReadCloser {
	var r io.Reader = body
	if a.limited {
		r = a.u.bandwidth.Reader(a.ctx, body)
	}
	a.read.Store(0)
	return &countedBody{r, body, &a.read}
}

// maxFresh is how many new connections one attempt gets. With HTTP/1 it is one at
// most, the last; with HTTP/2 net/http sends again as often as a server goes away
// before it has processed the request, which may be forever.
const maxFresh = 10

var errGoneAway = fmt.Errorf("throttle: the server ended %d new connections without an answer: %w", maxFresh, syscall.ECONNRESET)

// gotConn sees each try of net/http to send the request. The first was paid for,
// unless a cool-down has begun since, while the connection was made. What is not
// to be sent it refuses by ending the attempt's context.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	// To send again on the same connection, or after a new one has ended, means that the server
	// did not want the request. A connection that was idle may just have been dead.
	refused := a.conns > 0 && (!a.last.Reused || info.Conn != nil && info.Conn == a.last.Conn)
	a.last = info
	a.conns++
	if !info.Reused {
		a.fresh++
	}
	if a.conns == 1 && !a.u.line.paused() {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	err := errGoneAway
	if a.fresh <= maxFresh {
		err = a.u.again(a.ctx, a.permit, a.weight, refused)
	}
	if err != nil {
		// With HTTP/2 nothing is sent once the context has ended. With HTTP/1 another goroutine
		// writes meanwhile, until that end closes the connection: so it is closed at the first
		// header, while that is still in a buffer. The deadline limits a Close that is under way.
		a.trace.WroteHeaderField = func(string, []string) {
			if info.Conn != nil {
				info.Conn.SetWriteDeadline(time.Unix(1, 0))
				info.Conn.Close()
			}
		}
		switch {
		case err == errGoneAway:
		case a.conns > 1 && nethttp.ResendsAnyway(a.req):
			err = notResent(err)
		case a.req.Context().Err() != nil:
			err = a.u.waitError(err)
		}
		a.refuse = err
		a.cancel(err)
		return
	}
	a.begin = time.Now()
	if a.timer != nil {
		a.timer.Reset(a.t.Timeout)
	}
	if a.conns > 1 {
		a.u.resent()
		e := Event{Kind: Resent, Outcome: Ignored, Token: a.permit.token}
		if refused {
			e.Outcome = Overloaded
		}
		a.observe(e)
	}
}

// wroteRequest is called when all of the request was written, or could not be.
func (a *attempt) wroteRequest(info httptrace.WroteRequestInfo) {
	if info.Err == nil {
		a.wrote.Store(max(int64(time.Since(a.start)), 1))
	}
}

// ended records the answer's head, or that there is none.
func (a *attempt) ended(resp *http.Response, err error) {
	now := time.Now()
	e := Event{Kind: Ended, Latency: now.Sub(a.begin)}
	f := Feedback{Latency: e.Latency, Bytes: max(a.req.ContentLength, 0)}
	if wrote := time.Duration(a.wrote.Load()); wrote > 0 {
		f.Server = min(now.Sub(a.start)-wrote, f.Latency)
	}
	if err != nil {
		f.Outcome = a.unanswered(err, now)
		if a.t.Observe != nil {
			e.Err = secret.Of(a.req).Clean(err)
		}
	} else {
		h := hint.Parse(resp.StatusCode, resp.Header, now)
		e.Status, e.Malformed = resp.StatusCode, h.Malformed
		f.Outcome = answer(resp.StatusCode, h.Throttled)
		if h.Known && h.Wait > 0 {
			f.RetryAt, f.Source = now.Add(h.Wait), h.Source
		}
		f.quotas(h.Limits)
	}
	switch e.Outcome = f.Outcome; f.Outcome {
	case Throttled, Overloaded, TimedOut, Failed:
		f.own = standing.Of(a.req.Context()) == standing.Blamed
	}
	news := a.permit.tell(f)
	if !news.until.IsZero() {
		a.observe(Event{Kind: Paused, Until: news.until, Source: news.source})
	}
	if news.changed {
		a.observe(Event{Kind: Changed, Phase: news.phase, Limit: news.limit, Rate: news.rate, Reason: news.reason})
	}
	a.observe(e)
}

// quotas records what the server states about its limits. If a throttle means that too many were
// sent at once, it is an overload.
func (f *Feedback) quotas(told []hint.Limit) {
	for _, l := range told {
		switch {
		case l.Unit == "concurrent-requests" && l.Limit > 0:
			f.InFlight = int(min(l.Limit, math.MaxInt32))
			if f.Outcome == Throttled && l.Remaining == 0 {
				f.Outcome = Overloaded
			}
		case l.Unit == "requests":
			// A delay is counted from when the request was sent, as the server may have looked at
			// its clock then. An instant is what it is.
			if l.Dated {
				l.Reset = max(l.Reset, l.Reset+f.Latency) // the sum may overflow
			}
			f.Quotas = append(f.Quotas, Quota{Remaining: l.Remaining, Reset: l.Reset, Limit: l.Limit, Window: l.Window})
		}
	}
}

// answer returns what a status says about the server.
func answer(status int, throttled bool) Outcome {
	switch {
	case status == http.StatusServiceUnavailable, status == statusBandwidth, status == statusOverloaded,
		// the server behind it was not reached, or is full; some limiters answer so, too
		status == http.StatusBadGateway:
		return Overloaded
	case throttled:
		return Throttled
	case status == http.StatusGatewayTimeout:
		return TimedOut
	case status == http.StatusInternalServerError, 512 <= status && status <= 599:
		// from 512 on they are what gateways made up, such as 524: as 500 (RFC 9110, section 15)
		return Failed
	case status < 400:
		return Success
	}
	return Answered
}

// Statuses that no standard knows, but that servers send when they are asked too much.
const (
	statusBandwidth  = 509
	statusOverloaded = 529
)

const (
	// overdue is how many times the latency a request must have been in flight for its caller's
	// deadline to be a timeout of the server.
	overdue = 4

	// idleLong is less than the time after which servers close idle connections, and more than
	// those of a busy client are idle.
	idleLong = time.Second
)

// unanswered returns what the lack of an answer says about the server.
func (a *attempt) unanswered(err error, now time.Time) Outcome {
	switch {
	case a.refuse != nil && a.refuse != errGoneAway: // in our own queue
		return Ignored
	case timedOut(a.req.Context(), now):
		if a.inVain(err, now) {
			return TimedOut
		}
		return Ignored
	case a.last.IdleTime >= idleLong && !errors.Is(err, io.ErrUnexpectedEOF) && lost(err):
		return Ignored // the server closed it just before, as servers do
	}
	return a.failure(err)
}

// inVain reports whether the time before the caller's deadline was spent in flight, and not in our
// own queue or in that of a Transport below.
func (a *attempt) inVain(err error, now time.Time) bool {
	if a.limited && a.wrote.Load() == 0 || errors.As(err, new(interface{ RetryAt() time.Time })) {
		return false // Limits.Bandwidth may have held it up
	}
	flight, latency := now.Sub(a.begin), a.u.latency()
	if latency == 0 {
		return 2*flight > a.waited+now.Sub(a.start)
	}
	return flight > overdue*latency
}

// lost reports whether the server, or the network, ended a connection. Resets have other numbers on
// Windows.
func lost(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "read" || op.Op == "write") {
		return !op.Timeout() && !errors.Is(err, net.ErrClosed) // we closed it
	}
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// timedOut reports whether a deadline has ended the context, or is about to: http.Client ends a
// request that takes longer than its Timeout by the context and by Request.Cancel, in any order.
func timedOut(ctx context.Context, now time.Time) bool {
	if err := ctx.Err(); err != nil {
		return err == context.DeadlineExceeded || errors.Is(context.Cause(ctx), context.DeadlineExceeded)
	}
	return expired(ctx, now)
}

// failure returns what the lack of an answer says about the server.
func (a *attempt) failure(err error) Outcome {
	var timeout net.Error
	var op *net.OpError
	var name *net.DNSError
	var proxy interface{ ProxyStatus() int }
	switch {
	case a.req.Context().Err() != nil:
		return Ignored
	case errors.As(err, &proxy):
		if status := proxy.ProxyStatus(); status < 500 && status != http.StatusTooManyRequests {
			return Answered // such as 407: that is no outage
		}
		return Failed
	case errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect"), errors.As(err, &name):
		return Overloaded // not even a connection
	case errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut
	case nethttp.GoneAway(err) && a.last.Reused:
		return Ignored // as connections end from time to time; a new one does not
	case errors.As(err, new(nethttp.StreamError)), nethttp.Refused(err), nethttp.GoneAway(err):
		return Overloaded
	case errors.Is(err, syscall.ECONNREFUSED), lost(err):
		return Overloaded
	case a.wanted && a.conns == 0, // whatever is in the way: a proxy, TLS
		op != nil && op.Op == "remote error", // an alert of TLS 1.3 may come after the handshake
		a.wrote.Load() > 0:                   // what came was no answer
		return Failed
	}
	return Ignored // our own doing, such as a body that cannot be read
}

// timeout returns our own error where it was our timeout that ended the attempt.
func (a *attempt) timeout(err error) error {
	var ours *TimeoutError
	if a.timer != nil && errors.As(context.Cause(a.ctx), &ours) {
		return ours
	}
	return err
}

func (a *attempt) observe(e Event) {
	if a.t.Observe != nil {
		e.Key, e.Request = a.key, a.req
		a.t.Observe(e)
	}
}

// release ends the attempt.
func (a *attempt) release() {
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.unhook != nil {
		a.unhook()
	}
	if a.cancel != nil { // if nil, Observe has panicked
		a.cancel(nil)
	}
	a.permit.Release()
}

// A TimeoutError is what an attempt ends with that took longer than
// [Transport.Timeout]. Whether the server did the work is not known.
type TimeoutError struct{ After time.Duration }

// Error returns the text of the error.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("throttle: no complete answer within %v of the request being sent", e.After)
}

// Is makes the error match [context.DeadlineExceeded].
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout returns true, as a [net.Error] does of a timeout.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary returns true. [net.Error] has the method.
func (e *TimeoutError) Temporary() bool { return true }

// A resendError is why a request was not sent again after a connection had failed. The first time
// it may have reached the server, so the error must not be one that says that nothing was sent.
type resendError struct {
	why   string
	cause error // the context's, or that given to Stop; may be nil
}

func notResent(err error) error {
	var stop *StopError
	var paused *PausedError
	switch {
	case errors.As(err, &stop):
		return &resendError{stop.reason(), stop.Err}
	case errors.As(err, &paused):
		return &resendError{paused.reason(), nil}
	}
	return &resendError{err.Error(), err}
}

func (e *resendError) Error() string {
	return "throttle: not sent again after the connection failed: " + e.why
}
func (e *resendError) Unwrap() error { return e.cause }

// Timeout reports whether it was a deadline, as [net.Error] does.
func (e *resendError) Timeout() bool { return errors.Is(e.cause, context.DeadlineExceeded) }

// A waitError says that a request's context ended while it waited for its turn.
// The difference matters to a client that retries: nothing was sent.
type waitError struct {
	cause  error
	paused *PausedError // the cool-down in force; if nil, none
}

func (u *Upstream) waitError(cause error) error {
	until, source := u.line.pausedUntil()
	if until.IsZero() {
		return &waitError{cause, nil}
	}
	return &waitError{cause, &PausedError{Until: until, Source: source}}
}

func (e *waitError) Error() string {
	text := "throttle: not sent: " + e.cause.Error()
	if e.paused != nil {
		text += " in a " + e.paused.reason()
	}
	return text
}

func (e *waitError) Unwrap() error { return e.cause }

// RetryAt returns when the cool-down ends, or now: nothing stands against another try.
func (e *waitError) RetryAt() time.Time {
	if e.paused != nil {
		return e.paused.Until
	}
	return time.Now()
}

// Timeout reports whether it was a deadline, as [net.Error] does.
func (e *waitError) Timeout() bool { return errors.Is(e.cause, context.DeadlineExceeded) }
