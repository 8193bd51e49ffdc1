package courier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/fair"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/retry"
)

const keyHeader = "Idempotency-Key"

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
	again    bool  // this relay has sent it before it was taken up
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
	p.accepted, p.again = c.accepted(), c.s.tried.has(e.Seq)
	c.s.Fair.Arrived(&p.trace) // here, and not in a goroutine of its own: the oldest goes first
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

// Interrupted says what becomes of a stored request that was under way when a relay was killed.
func Interrupted(e outbox.Entry) (outbox.State, string) {
	switch {
	case !repeatableEntry(e):
		return outbox.Unknown, status.CutShort
	case keys.Forgotten(e.Method, e.First, e.First, time.Now()):
		return outbox.Unknown, status.KeyForgotten
	}
	return outbox.Waiting, ""
}

func repeatableEntry(e outbox.Entry) bool {
	return e.Key != "" || nethttp.Repeatable(&http.Request{Method: e.Method, Header: e.Header})
}

// newClient returns the client that sends stored requests. They wait for days: a target that
// refuses them, or is down, gives up nothing.
func (s *Service) newClient() *retry.Client {
	return &retry.Client{
		HTTP: &http.Client{Transport: s.Fair},
		Policy: retry.Policy{
			Attempts: s.Attempts, GiveUpAfter: forever, MaxPause: faulty,
		},
		Repeatable: nethttp.Repeatable,
		Classify:   classify,
		Observe:    s.retrying,
	}
}

const forever = time.Duration(1<<63 - 1)

// classify judges answers to a key.
func classify(req *http.Request, resp *http.Response, _ error) retry.Verdict {
	p := parcelOf(req.Context())
	v := p.standing.Answered(outcome.Request{
		Method: p.Method, Repeatable: nethttp.Repeatable(req), Keyed: nethttp.HasKey(req),
	}, resp, nil)
	return retry.Verdict{Action: v.Action, Reason: status.Reason(v)}
}

// Leaving is to be called when the turn of a request has come: what must not be sent twice is noted
// on disk before it leaves. With an error it must not leave. For a request that was not stored it
// does nothing.
func Leaving(req *http.Request) error {
	if p := parcelOf(req.Context()); p != nil {
		return p.leave()
	}
	return nil
}

// Repeats reports whether a request was stored, and sent by this relay before it was taken up this
// time.
func Repeats(req *http.Request) bool {
	p := parcelOf(req.Context())
	return p != nil && p.again
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
	p.body, p.fault = p.c.s.Store.Body(p.ID)
	if p.fault == nil && !p.begun {
		p.fault = p.c.s.Store.Begin(p.ID, !nethttp.Idempotent(p.Method))
		p.begun = p.fault == nil
	}
	if p.fault != nil {
		return p.fault
	}
	p.standing.Left(time.Now())
	return nil
}

// retrying records what an attempt of a stored request has led to.
func (s *Service) retrying(e retry.Event) {
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
	p.Status, p.Reason = e.Status, status.Setback(e)
	o := outbox.Outcome{
		State: outbox.Sending, Due: e.Until, Attempts: p.attempts(), Status: p.Status,
		Reason: p.Reason,
	}
	if !p.standing.Past().Doubt {
		o.State, p.begun = outbox.Waiting, false
	}
	s.Store.Tried(p.ID, o)
}

func (p *parcel) attempts() int { return p.Attempts + p.trace.Times().Attempts }

// deliver sends a stored request, and records what came of it.
func (s *Service) deliver(p *parcel) {
	o := s.send(p)
	if errors.Is(p.fault, outbox.ErrNotFound) { // it was withdrawn
		s.tried.remove(p.Seq)
		return
	}
	err := s.Store.Finish(p.ID, o)
	switch {
	case o.State != outbox.Waiting:
		s.tried.remove(p.Seq)
		s.ends.ended(p.ID)
		if err == nil {
			s.Ended(o.State)
		}
	case p.trace.Times().Attempts > 0:
		s.tried.add(p.Seq)
	}
	switch {
	case err != nil && !errors.Is(err, outbox.ErrNotFound):
		s.tellStore(err)
	case o.State == outbox.Failed || o.State == outbox.Unknown:
		s.Failed(told(p.Entry), string(o.State)+": "+o.Reason)
		s.failures.Do(func() {
			s.Log.Warn(status.StoredFailed(told(p.Entry), string(o.State), o.Reason, s.InOrder))
		})
	}
}

func (s *Service) send(p *parcel) outbox.Outcome {
	req, err := p.request()
	if err != nil {
		return outbox.Outcome{State: outbox.Failed, Attempts: p.attempts(), Reason: err.Error()}
	}
	resp, err := s.client.Do(req)
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
	p.c.t.Aim(&httputil.ProxyRequest{In: in, Out: out})
	if p.Key != "" {
		out.Header.Set(keyHeader, p.Key)
	}
	maps.Copy(out.Header, p.c.s.Header)
	if p.Size > 0 {
		retry.SetBody(out, p.Size, func() (io.ReadCloser, error) { return p.body() })
	}
	return out, nil
}

// outcome says what came of a request.
func (p *parcel) outcome(req *http.Request, resp *http.Response, err error) outbox.Outcome {
	s := p.c.s
	end := retry.OutcomeOf(resp, err)
	o := outbox.Outcome{Attempts: p.attempts(), Status: end.Status}
	var excerpt string
	if resp != nil {
		if s.Answered != nil {
			s.Answered(req, resp)
		}
		o.Answer = readAnswer(resp)
		if p.c.t.Localise != nil {
			p.c.t.Localise(o.Answer.Header)
		}
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
		Answer: resp, Excerpt: excerpt, Hide: s.Secrets.Hide}
	o.Reason = s.Secrets.Show(status.StoredWhy(why))
	if o.State == outbox.Waiting && errors.Is(context.Cause(p), errStopping) {
		o.Status, o.Reason = p.Status, p.Reason
	}
	p.postpone(&o, judged, end)
	o.Doubt = p.standing.Past().Doubt
	return o
}

// postpone has a request wait whose failure is not its own, and sets until when.
func (p *parcel) postpone(o *outbox.Outcome, judged outcome.End, end retry.Result) {
	held := p.c.judge(end, o)
	_, local := errors.AsType[*outbox.Error](end.Err)
	alone := judged.Outage && p.c.accepted() == p.accepted // the cause may be either
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

const mostTold = 200 // bytes

// told words a stored request for the log.
func told(e outbox.Entry) string {
	return fmt.Sprintf("%s %s (%s)", e.Method, human.Cut(conceal.URL(e.URI), mostTold), e.ID)
}
