package relay

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/penstock/penstock/internal/fair"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/retry"
)

// keys are how idempotency keys are sent, and for how long servers usually remember them.
var keys = resume.Idempotency{Header: keyHeader, Bare: true, Lifetime: 24 * time.Hour}

// A parcel is one stored request on its way, and its context.
type parcel struct {
	context.Context
	outbox.Entry
	c      *courier
	trace  fair.Trace
	cancel context.CancelCauseFunc
	flying bool // it is with the target; the courier's lock protects it

	accepted int64 // by its server, when it was taken up
	begun    bool  // the store has it so
	standing outcome.Standing
	body     func() (io.ReadCloser, error) // opens what was looked at before the last attempt
	fault    error                         // of this machine: it could not be sent
}

type parcelKey struct{}

// Value finds the parcel itself.
func (p *parcel) Value(key any) any {
	if key == (parcelKey{}) {
		return p
	}
	return p.Context.Value(key)
}

func parcelOf(ctx context.Context) *parcel {
	p, _ := ctx.Value(parcelKey{}).(*parcel)
	return p
}

func newParcel(ctx context.Context, c *courier, e outbox.Entry) *parcel {
	p := &parcel{Entry: e, c: c}
	p.trace.Client = e.Client
	p.accepted = c.accepted()
	c.r.fair.Arrived(&p.trace) // here, and not in a goroutine of its own: the oldest goes first
	p.Context, p.cancel = context.WithCancelCause(ctx)
	p.standing.Claimed(resume.Past{Key: keyOf(e), First: e.First, Doubt: !e.First.IsZero()}, false)
	return p
}

// keyOf returns the idempotency key that a stored request is sent with.
func keyOf(e outbox.Entry) string {
	if e.Key != "" {
		return e.Key
	}
	return e.Header.Get(keyHeader)
}

func repeatableEntry(e outbox.Entry) bool {
	return e.Key != "" || nethttp.Repeatable(&http.Request{Method: e.Method, Header: e.Header})
}

// newStoredClient returns the client that sends stored requests. They wait for days: a target that
// refuses them, or is down, gives up nothing.
func (r *Relay) newStoredClient() *retry.Client {
	return &retry.Client{
		HTTP: r.client.HTTP,
		Policy: retry.Policy{
			Attempts: r.Attempts, GiveUpAfter: forever, MaxPause: faulty,
		},
		Repeatable: nethttp.Repeatable,
		Classify:   classifyStored,
		Observe:    r.retryingStored,
	}
}

const forever = time.Duration(1<<63 - 1)

// classifyStored judges answers to a key.
func classifyStored(req *http.Request, resp *http.Response, _ error) retry.Verdict {
	p := parcelOf(req.Context())
	v := p.standing.Answered(outcome.Request{
		Method: p.Method, Repeatable: nethttp.Repeatable(req), Keyed: nethttp.HasKey(req),
	}, resp, nil)
	return retry.Verdict{Action: v.Action, Reason: status.Reason(v)}
}

// leaving is called when the turn of a request has come. What must not be sent twice is noted on
// disk before it leaves.
func leaving(req *http.Request) (*http.Request, error) {
	if p := parcelOf(req.Context()); p != nil {
		if err := p.leave(); err != nil {
			return nil, err
		}
	}
	if c := callOf(req.Context()); c != nil {
		return c.trailer.Add(req), nil
	}
	return req, nil
}

func (p *parcel) leave() error {
	past := p.standing.Past()
	if past.Doubt && keyOf(p.Entry) != "" &&
		keys.Forgotten(p.Method, past.First, past.First, time.Now()) {
		return resume.ErrKeyForgotten
	}
	p.c.mu.Lock()
	recalled := context.Cause(p)
	p.flying = recalled == nil
	p.c.mu.Unlock()
	if recalled != nil {
		return recalled
	}
	// Here, so that no head leaves that was changed, or whose body cannot follow.
	p.body, p.fault = p.c.r.Store.Body(p.ID)
	if p.fault == nil && !p.begun {
		p.fault = p.c.r.Store.Begin(p.ID, !nethttp.Idempotent(p.Method))
		p.begun = p.fault == nil
	}
	if p.fault != nil {
		return p.fault
	}
	p.standing.Left(time.Now())
	return nil
}

// retryingStored records what an attempt of a stored request has led to.
func (r *Relay) retryingStored(e retry.Event) {
	p := parcelOf(e.Request.Context())
	if e.Uncertain {
		p.standing.Doubted()
	}
	if e.Kind != retry.EventWaiting {
		return
	}
	p.c.mu.Lock()
	p.flying = false
	if p.c.stopping {
		p.cancel(errStopping)
	}
	p.c.mu.Unlock()
	p.standing.Refused()
	o := outbox.Outcome{
		State: outbox.Sending, Due: e.Until, Attempts: p.attempts(), Status: e.Status,
		Reason: status.Setback(e),
	}
	if !p.standing.Past().Doubt {
		o.State, p.begun = outbox.Waiting, false
	}
	r.Store.Tried(p.ID, o)
}

func (p *parcel) attempts() int { return p.Attempts + p.trace.Times().Attempts }

// deliver sends a stored request, and records what came of it.
func (r *Relay) deliver(p *parcel) {
	o := r.send(p)
	if errors.Is(p.fault, outbox.ErrNotFound) { // it was withdrawn
		return
	}
	err := r.Store.Finish(p.ID, o)
	if o.State != outbox.Waiting {
		r.ends.ended(p.ID)
	}
	switch {
	case err != nil && !errors.Is(err, outbox.ErrNotFound):
		r.tellStore(err)
	case o.State == outbox.Failed || o.State == outbox.Unknown:
		r.note(told(p.Entry), string(o.State)+": "+o.Reason)
		r.failures.Do(func() {
			r.Log.Warn(status.StoredFailed(told(p.Entry), string(o.State), o.Reason, r.InOrder))
		})
	}
}

func (r *Relay) send(p *parcel) outbox.Outcome {
	req, err := p.request()
	if err != nil {
		return outbox.Outcome{State: outbox.Failed, Attempts: p.attempts(), Reason: err.Error()}
	}
	resp, err := r.storedClient.Do(req)
	return p.outcome(req, resp, err)
}

// request makes the request that goes to the target, with the relay's own headers.
func (p *parcel) request() (*http.Request, error) {
	u, err := url.ParseRequestURI(p.URI)
	if err != nil {
		return nil, err
	}
	in := &http.Request{Method: p.Method, URL: u}
	out := (&http.Request{Method: p.Method, URL: u, Header: p.Header, Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1}).Clone(fair.Behind(fair.WithTrace(p, &p.trace)))
	if out.Header == nil {
		out.Header = http.Header{}
	}
	p.c.t.aim(&httputil.ProxyRequest{In: in, Out: out})
	if p.Key != "" {
		out.Header.Set(keyHeader, p.Key)
	}
	maps.Copy(out.Header, p.c.r.Header)
	if p.Size > 0 {
		retry.SetBody(out, p.Size, func() (io.ReadCloser, error) { return p.body() })
	}
	return out, nil
}

// outcome says what came of a request.
func (p *parcel) outcome(req *http.Request, resp *http.Response, err error) outbox.Outcome {
	r := p.c.r
	end := retry.OutcomeOf(resp, err)
	o := outbox.Outcome{Attempts: p.attempts(), Status: end.Status}
	var excerpt string
	if resp != nil {
		if r.CacheBytes > 0 {
			r.cache.Changed(req, resp)
		}
		o.Answer = readAnswer(resp)
		excerpt = reply.Excerpt(o.Answer.Body[:min(len(o.Answer.Body), reply.MaxHead)],
			len(o.Answer.Body) > reply.MaxHead)
	}
	if end.Uncertain {
		p.standing.Doubted()
	}
	judged := p.standing.Ended(outcome.Call{Result: end, Sent: p.trace.Times().Attempts > 0,
		Tries: p.trace.Times().Attempts, Ending: context.Cause(p) != nil})
	switch judged.Fate {
	case item.Delivered:
		o.State = outbox.Delivered
		p.c.judge(end, &o)
		return o
	case item.Unknown:
		o.State = outbox.Unknown
	case item.Deferred:
		o.State = outbox.Waiting
		if errors.Is(end.Err, outbox.ErrChanged) { // what it was will not come back
			o.State = outbox.Failed
		}
	default:
		o.State = outbox.Failed
	}
	why := &status.Failure{End: judged, Call: end, Method: p.Method, URL: req.URL.String(),
		Answer: resp, Excerpt: excerpt, Hide: r.secrets.Hide}
	o.Reason = r.secrets.Show(status.StoredWhy(why))
	p.postpone(&o, judged, end)
	o.Doubt = p.standing.Past().Doubt
	return o
}

// postpone has a request wait that has failed by no fault of its own, and says until when.
func (p *parcel) postpone(o *outbox.Outcome, judged outcome.End, end retry.Result) {
	held := p.c.judge(end, o)
	_, local := errors.AsType[*outbox.Error](end.Err)
	alone := judged.Outage && p.c.accepted() == p.accepted // nobody can say whose fault it is
	var wait time.Duration
	switch {
	case o.State == outbox.Waiting && context.Cause(p) == nil:
		wait = max(time.Until(end.RetryAt), soon)
	case o.State != outbox.Failed:
		return
	case errors.Is(end.Err, retry.ErrUnreachable): // the first to be tried again
	case held:
		wait = holding
	case local:
		wait = faulty
	case alone:
		wait = soon
	default:
		return
	}
	o.State = outbox.Waiting
	if wait > 0 {
		o.Due = time.Now().Add(wait)
	}
}

// readAnswer reads as much of an answer as is kept.
func readAnswer(resp *http.Response) *outbox.Answer {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, outbox.MaxAnswer+1))
	h := resp.Header.Clone()
	for _, name := range []string{"Connection", "Keep-Alive", "Transfer-Encoding", "Trailer",
		"Upgrade"} { // about the connection
		h.Del(name)
	}
	return &outbox.Answer{Header: h, Body: body, Cut: err != nil} // or longer than is kept
}
