package relay

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/problem"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// problemOf says why a request has no answer of the target's.
func (r *Relay) problemOf(c *call, req *http.Request, err, cause error) *problem.Document {
	end := retry.OutcomeOf(nil, err)
	p := &problem.Document{Outcome: end.Outcome, Attempts: c.trace.Times().Attempts}
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
		p.Status, p.Detail = http.StatusBadGateway, status.InterimFlood(clientconn.MostInterim)
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
