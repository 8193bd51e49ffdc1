package throttle

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/hint"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/standing"
)

// ended records the answer's head, or that there is none.
func (a *attempt) ended(resp *http.Response, err error) {
	now := time.Now()
	e := Event{Kind: EventEnded, Latency: now.Sub(a.begin)}
	f := Feedback{Latency: e.Latency, Bytes: max(a.req.ContentLength, 0)}
	if wrote := time.Duration(a.wrote.Load()); wrote > 0 {
		f.Server = min(now.Sub(a.start)-wrote, f.Latency)
	}
	if err != nil {
		f.Signal = a.unanswered(err, now)
		if a.t.Observe != nil {
			e.Err = secret.Of(a.req).Clean(err)
		}
	} else {
		h := hint.Parse(resp.StatusCode, resp.Header, now)
		e.Status, e.Malformed = resp.StatusCode, h.Malformed
		f.Signal = answer(resp.StatusCode, h.Throttled)
		if h.Known && h.Wait > 0 {
			f.RetryAt, f.Source = now.Add(h.Wait), h.Source
		}
		f.quotas(h.Limits)
	}
	if a.t.Feedback != nil {
		f = a.t.Feedback(resp, err, f)
	}
	switch e.Signal = f.Signal; f.Signal {
	case SignalThrottled, SignalOverloaded, SignalTimedOut, SignalFailed:
		f.own = standing.Of(a.req.Context()) == standing.Blamed
	}
	for _, news := range a.permit.tell(f).events() {
		a.observe(news)
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
			if f.Signal == SignalThrottled && l.Remaining == 0 {
				f.Signal = SignalOverloaded
			}
		case l.Unit == "requests":
			// A delay is counted from when the request was sent, as the server may have looked at
			// its clock then. An instant is what it is.
			if l.Dated {
				l.Reset = max(l.Reset, l.Reset+f.Latency) // the sum may overflow
			}
			f.Quotas = append(f.Quotas, Quota{Remaining: l.Remaining, Reset: l.Reset,
				Limit: l.Limit, Window: l.Window})
		}
	}
}

// answer returns what a status says about the server.
func answer(status int, throttled bool) Signal {
	switch {
	case status == http.StatusServiceUnavailable, status == statusBandwidth,
		status == statusOverloaded,
		// the server behind it was not reached, or is full; some limiters answer so, too
		status == http.StatusBadGateway:
		return SignalOverloaded
	case throttled:
		return SignalThrottled
	case status == http.StatusGatewayTimeout:
		return SignalTimedOut
	case status == http.StatusInternalServerError, 512 <= status && status <= 599:
		// from 512 on they are what gateways made up, such as 524: as 500 (RFC 9110, section 15)
		return SignalFailed
	case status < 400:
		return SignalSuccess
	}
	return SignalAnswered
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
func (a *attempt) unanswered(err error, now time.Time) Signal {
	switch {
	case a.refuse != nil && a.refuse != errGoneAway: // in our own queue
		return SignalIgnored
	case timedOut(a.req.Context(), now):
		if a.inVain(err, now) {
			return SignalTimedOut
		}
		return SignalIgnored
	case a.last.IdleTime >= idleLong && !errors.Is(err, io.ErrUnexpectedEOF) && lost(err):
		return SignalIgnored // the server closed it just before, as servers do
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
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// timedOut reports whether a deadline has ended the context, or is about to: http.Client ends a
// request that takes longer than its Timeout by the context and by Request.Cancel, in any order.
func timedOut(ctx context.Context, now time.Time) bool {
	if err := ctx.Err(); err != nil {
		return err == context.DeadlineExceeded ||
			errors.Is(context.Cause(ctx), context.DeadlineExceeded)
	}
	return expired(ctx, now)
}

// failure returns what the lack of an answer says about the server.
func (a *attempt) failure(err error) Signal {
	var timeout net.Error
	var op *net.OpError
	var name *net.DNSError
	var proxy interface{ ProxyStatus() int }
	switch {
	case a.req.Context().Err() != nil:
		return SignalIgnored
	case errors.As(err, &proxy):
		if status := proxy.ProxyStatus(); status < 500 && status != http.StatusTooManyRequests {
			return SignalAnswered // such as 407: that is no outage
		}
		return SignalFailed
	case errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect"), errors.As(err, &name):
		return SignalOverloaded // not even a connection
	case errors.As(err, &timeout) && timeout.Timeout():
		return SignalTimedOut
	case nethttp.GoneAway(err) && a.last.Reused:
		return SignalIgnored // as connections end from time to time; a new one does not
	case errors.As(err, new(nethttp.StreamError)), nethttp.Refused(err), nethttp.GoneAway(err):
		return SignalOverloaded
	case errors.Is(err, syscall.ECONNREFUSED), lost(err):
		return SignalOverloaded
	case a.wanted && a.conns == 0, // whatever is in the way: a proxy, TLS
		op != nil && op.Op == "remote error", // an alert of TLS 1.3 may come after the handshake
		a.wrote.Load() > 0:                   // what came was no answer
		return SignalFailed
	}
	return SignalIgnored // our own doing, such as a body that cannot be read
}
