package relay

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// A problem is an answer of the relay's own (RFC 9457).
type problem struct {
	Title    string        `json:"title"` // the status in words
	Status   int           `json:"status"`
	Detail   string        `json:"detail"`             // what happened, and what to do
	Outcome  retry.Outcome `json:"outcome,omitzero"`   // what became of the request
	Attempts int           `json:"attempts,omitempty"` // how often it was sent

	// Again is in how long another try makes sense; if zero, that is not known.
	Again time.Duration `json:"-"`
}

// refusal is the problem of a request of which nothing was sent.
func refusal(status int, detail string) *problem {
	return &problem{Status: status, Detail: detail}
}

// later is the problem of a request that should come again.
func later(detail string, again time.Duration) *problem {
	p := refusal(http.StatusServiceUnavailable, detail)
	p.Outcome, p.Again = retry.Deferred, max(again, time.Second)
	return p
}

// Error returns what happened: a problem is an error until it is an answer.
func (p *problem) Error() string { return p.Detail }

// write sends the problem as the answer.
func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	if p.Again > 0 {
		seconds := math.Ceil(min(p.Again, maxAgain).Seconds())
		h.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	p.Title = http.StatusText(p.Status)
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(text, '\n'))
}

// maxAgain bounds what is written as Retry-After: a client that waits for longer has forgotten us.
const maxAgain = 24 * time.Hour

// problemOf says why a request has no answer of the target's.
func (r *Relay) problemOf(c *call, req *http.Request, err, cause error) *problem {
	end := retry.OutcomeOf(nil, err)
	p := &problem{Outcome: end.Outcome, Attempts: c.trace.Times().Attempts}
	if p.Outcome == 0 {
		p.Outcome, end.Err = retry.Failed, err
		if cause != errFlood && slices.Contains(ours, cause) {
			p.Outcome = retry.Deferred
		}
	}
	setback := *cmp.Or(c.setback.Load(), new(string))
	switch {
	case cause == errStopping:
		p.Status, p.Again = http.StatusServiceUnavailable, r.StopTimeout
		p.Detail = status.RelayStopping
	case cause == errLate:
		p.Status, p.Again = http.StatusServiceUnavailable, r.again(c, end.RetryAt)
		p.Detail = status.Late(c.limit.String(), r.closed(c.target.key, setback == ""), setback)
	case cause == errRefused:
		p.Status, p.Again = http.StatusServiceUnavailable, r.again(c, end.RetryAt)
		p.Detail = status.GivenUp(r.GiveUpAfter, p.Attempts > 0,
			r.closed(c.target.key, setback == ""), setback)
	case cause == errFlood:
		p.Status, p.Detail = http.StatusBadGateway, status.InterimFlood(mostInterim)
		if p.Outcome == retry.Deferred {
			p.Outcome = retry.Failed
		}
	default:
		p.Status, p.Detail = http.StatusBadGateway, r.secrets.Show(status.Relayed(end))
		if end.Outcome == retry.Deferred {
			p.Status, p.Again = http.StatusServiceUnavailable, r.again(c, end.RetryAt)
		} else if timedOut(err) {
			p.Status = http.StatusGatewayTimeout
		}
	}
	if end.Uncertain && !storable(req.Method) { // to read twice is no matter
		p.Detail = status.PerhapsAccepted(p.Detail)
	}
	return p
}

// timedOut reports whether the target took too long. Errors around one that says so need not do.
func timedOut(err error) bool {
	_, stalled := errors.AsType[*wire.StallError](err)
	_, late := errors.AsType[*throttle.TimeoutError](err)
	return stalled || late || errors.Is(err, context.DeadlineExceeded)
}

// again returns in how long a request makes sense that was not sent in time.
func (r *Relay) again(c *call, at time.Time) time.Duration {
	if wait := time.Until(at); wait > 0 {
		return wait
	}
	return max(r.estimate(c.target.key, ""), time.Second)
}

// closed says why nothing is sent to a target at present, if asked to with what went wrong last; ""
// if something is.
func (r *Relay) closed(key string, why bool) string {
	u, ok := r.transport.Lookup(key)
	if !ok {
		return ""
	}
	trouble := ""
	if why {
		trouble, _ = r.servers.Of(key).Trouble()
	}
	return r.secrets.Hide(status.Unavailable(u.Stats(), trouble))
}
