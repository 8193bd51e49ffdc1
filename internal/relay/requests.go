package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/problem"
	"github.com/penstock/penstock/internal/receipt"
	"github.com/penstock/penstock/internal/status"
)

const ownPath = "/.penstock/" // where the relay answers itself

// RequestsPath is what the path of a stored request begins with; its ID follows.
const RequestsPath = ownPath + "requests/"

// serveOwn answers what clients ask the relay itself: what became of a stored request. Whoever
// knows its ID may ask, and withdraw it.
func (r *Relay) serveOwn(w *clientconn.Writer, req *http.Request) {
	if why := r.stranger(req); why != nil {
		why.Write(w)
		return
	}
	rest, ok := strings.CutPrefix(req.URL.Path, RequestsPath)
	id, action, _ := strings.Cut(rest, "/")
	if !ok || r.Store == nil {
		problem.Refusal(http.StatusNotFound, status.NoSuchRequest).Write(w)
		return
	}
	err := error(nil)
	switch req.Method + " " + action {
	case "GET ", "HEAD ":
		var e outbox.Entry
		if e, err = r.Store.Get(id); err == nil {
			s := receipt.Full(e)
			s.Next = r.next(e, time.Now()).UTC()
			if other := r.Store.HeldUpBy(e); other != "" {
				s.Reason = status.HeldUp(other)
			}
			writeJSON(w, s)
			return
		}
	case "DELETE ":
		err = r.Store.Withdraw(id)
	case "POST retry":
		if err = r.Store.Requeue(id); err == nil {
			r.stored.Wake()
		}
	case "POST drop":
		if err = r.Store.Drop(id); err == nil {
			r.stored.Wake()
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, DELETE")
		problem.Refusal(http.StatusMethodNotAllowed, status.RequestMethods).Write(w)
		return
	}
	if err != nil {
		requestFault(err).Write(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// next returns before when a request is not tried, as far as that is known: it waits itself, or
// with all others to its server. It returns zero if that time is over.
func (r *Relay) next(e outbox.Entry, now time.Time) time.Time {
	next := e.Due
	for _, t := range r.targets {
		if t.stored() != e.Target || e.State != outbox.Waiting {
			continue
		}
		paused := r.transport.Upstream(t.key).Stats().Paused
		for _, until := range []time.Time{r.stored.Held(e.Target), paused} {
			if until.After(now) && until.After(next) && !status.Open(until, now) {
				next = until
			}
		}
	}
	if !next.After(now) {
		return time.Time{} // its turn may come at any time
	}
	return next
}

// requestFault words why something cannot be done with a stored request.
func requestFault(err error) *problem.Document {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, outbox.ErrNotFound):
		return problem.Refusal(http.StatusNotFound, status.NoSuchRequest)
	case errors.Is(err, outbox.ErrBegun):
		return problem.Refusal(http.StatusConflict, status.NotWithdrawn)
	case errors.Is(err, outbox.ErrNotEnded), errors.Is(err, outbox.ErrDelivered):
		code = http.StatusConflict
	case errors.Is(err, outbox.ErrClosed):
		code = http.StatusServiceUnavailable
	}
	return problem.Refusal(code, status.Plain(err))
}

func writeJSON(w http.ResponseWriter, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

// awaited returns the answer to a stored request if it comes within a time, else nil (RFC 7240,
// section 4.3).
func (r *Relay) awaited(req *http.Request, id string, wait time.Duration) *http.Response {
	end, leave := r.stored.Watch(id)
	defer leave()
	e, err := r.Store.Get(id) // it may have ended before
	if err == nil && e.Ended.IsZero() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-end:
			e, err = r.Store.Get(id)
		case <-timer.C:
		case <-req.Context().Done():
		case <-r.soft.Done():
		}
	}
	if err != nil || e.Ended.IsZero() || e.Answer == nil || e.Answer.Cut {
		return nil
	}
	h := e.Answer.Header
	h.Set("Preference-Applied", "wait")
	h.Del("Content-Length")
	return &http.Response{
		StatusCode: e.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h,
		ContentLength: int64(len(e.Answer.Body)),
		Body:          io.NopCloser(bytes.NewReader(e.Answer.Body)), Request: req,
	}
}
