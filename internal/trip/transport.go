package trip

import (
	"net/http"
	"slices"

	"github.com/penstock/penstock/internal/bounded"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/secret"
)

// maxOrigins bounds what is remembered of origins. To forget one costs little: its next
// misconfigured call is final, its next three large bodies wait for a 100 Continue.
const maxOrigins = 1024

// Origins are those that one client sends to.
type Origins struct {
	m bounded.Map[string, Origin]
}

// Of returns what is known of the origin of that name.
func (o *Origins) Of(name string) *Origin { return o.m.Of(name, maxOrigins) }

// A Transport makes the round trips of one call, one after another: it is what http.Client sees of
// the user's. It has no CloseIdleConnections: go-retryablehttp calls that after each call that
// fails or is cancelled, and all the other calls would lose their connections.
type Transport struct {
	Base    http.RoundTripper
	Origins *Origins
	Trip    *Trip // watches all round trips of an attempt
	Last    *Trip // watches the writing of the last one
	Called  bool  // since Begin
	Err     error // of the last round trip
}

// Begin prepares for the next attempt.
func (w *Transport) Begin(t *Trip) { w.Trip, w.Last, w.Called, w.Err = t, t, false, nil }

// Tells reports whether Base is known to call the hooks of httptrace.
func (w *Transport) Tells() bool {
	_, ok := w.Base.(*http.Transport)
	return ok
}

// RoundTrip sends req, without what is private to the first origin once a redirect has led away
// from it.
func (w *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if Strayed(req) {
		req = withoutPrivate(req)
	}
	t := w.Trip
	if req.Response != nil {
		t.unprocessed() // what is answered by a redirect is not
		t.Origin = w.Origins.Of(nethttp.Origin(req.URL))
		req = t.watchHop(req)
	}
	req = t.once(req)
	if hasBody(req) {
		if req.Response != nil {
			w.Last = new(Trip)
			req = req.WithContext(w.Last.traceHop(req.Context()))
		}
		if req.Header.Get("Expect") != "" {
			req = w.Last.watchBody(req)
		}
	}
	resp, err := w.Base.RoundTrip(req)
	if err != nil {
		if why := t.why.Load(); why != nil {
			err = *why
		} else if text, ok := nethttp.Reason(err); ok { // net/http's own advises to set a GetBody
			err = &secret.Error{Text: text, Err: err}
		}
	}
	w.Called, w.Err = true, err
	if resp != nil {
		t.mark(answered)
		t.Origin.protocol.Store(int32(max(1, resp.ProtoMajor)))
		resp.Request = req // net/http does so, others forget; Strayed and OutcomeOf rely on it
	}
	return resp, err
}

// once returns a request that net/http sends again by itself only where nothing of it was
// processed. With HTTP/1 that is where nothing was written, and only net/http knows that. With
// HTTP/2 it also sends again after a PROTOCOL_ERROR, which says nothing of the kind, and GetBody is
// not told why: without one, the error of the transport says what happened, and the caller of the
// trip sends again what is safe.
func (t *Trip) once(req *http.Request) *http.Request {
	if !hasBody(req) || req.GetBody == nil {
		return req
	}
	if p := t.Origin.protocol.Load(); p != 0 && p != 2 {
		return req
	}
	out := req.WithContext(req.Context()) // a RoundTripper must not change its request
	out.GetBody = nil
	return out
}

// Strayed reports whether the redirects that led to req touched more than one origin. A way back to
// the first one is no safer: where it leads was chosen by another.
func Strayed(req *http.Request) bool {
	if req.Response == nil {
		return false
	}
	to := nethttp.Origin(req.URL)
	for r := req; r.Response != nil && r.Response.Request != nil; {
		if r = r.Response.Request; nethttp.Origin(r.URL) != to {
			return true
		}
	}
	return false
}

// publicHeaders say what the body is and what answer is wanted, and those that keep a request from
// doing harm: its conditions, and the key by which a repetition is recognised. Credentials,
// cookies, the Referer, which may hold a query, and headers that we do not know stay with the first
// origin: net/http keeps back only those that it knows.
var publicHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Content-Digest", "Content-Disposition",
	"Content-Encoding", "Content-Language", "Content-Md5", "Content-Range", "Content-Type",
	"Expect", "Idempotency-Key", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range",
	"User-Agent", "X-Idempotency-Key",
}

func withoutPrivate(req *http.Request) *http.Request {
	out := req.WithContext(req.Context()) // a RoundTripper must not change its request
	out.Header = make(http.Header, len(publicHeaders))
	for name, values := range req.Header {
		if slices.Contains(publicHeaders, http.CanonicalHeaderKey(name)) {
			out.Header[name] = values
		}
	}
	return out
}
