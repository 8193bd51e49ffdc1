package retry

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/penstock/penstock/internal/drain"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/secret"
)

const maxRedirects = 10

// checkRedirect lets http.Client follow a redirect only where the same request goes to the same
// origin: a PUT that turned into a GET would be answered by a 200 which means nothing. The user's
// own CheckRedirect may refuse more.
func (c *Client) checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) >= maxRedirects,
		methodOf(next) != methodOf(first),
		hasBody(first) && !hasBody(next),
		!c.mayLeave(first) && nethttp.Origin(next.URL) != nethttp.Origin(first.URL):
		return http.ErrUseLastResponse
	}
	if check := c.httpClient().CheckRedirect; check != nil {
		if err := check(next, via); err != nil {
			return err
		}
	}
	// http.Client reads some of the body of an answer that it follows, with no limit in time.
	if resp := next.Response; resp != nil && resp.Body != nil {
		drain.Close(resp.Body)
		resp.Body = http.NoBody
	}
	return nil
}

// mayLeave reports whether a redirect may lead req to another origin. A download may be led to
// where the file is kept.
func (c *Client) mayLeave(req *http.Request) bool {
	return c.CrossOrigin || isDownload(req)
}

// isDownload reports whether req stays the same with every redirect.
func isDownload(req *http.Request) bool {
	return (methodOf(req) == http.MethodGet || methodOf(req) == http.MethodHead) && !hasBody(req)
}

func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// maxLocation is how much of an address is shown that a server sends us to.
const maxLocation = 200

// redirectAdvice says where an answer that was not followed points to, and why it was not followed.
func (c *call) redirectAdvice(resp *http.Response) string {
	to, err := resp.Location() // relative to resp.Request, which wire sets
	if err != nil {
		return ""
	}
	advice := ": redirected to " + secret.Shorten(secret.Address(to), maxLocation)
	var keeps bool
	switch resp.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		keeps = true
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		keeps = isDownload(c.req)
	default: // http.Client follows no other
		return advice
	}
	switch n := redirects(resp); {
	case nethttp.Origin(to) != nethttp.Origin(resp.Request.URL) && !c.client.mayLeave(c.req):
		return advice + ", another origin, which is not followed: send there"
	case !keeps:
		return advice + ": following would drop the body or change the method, so send there"
	case !c.replayable:
		return advice + ": " + ErrNoGetBody.Error()
	case n >= maxRedirects:
		return advice + fmt.Sprintf(", the %dth redirect in a row: no more are followed", n)
	case !c.standard: // else it may be followed yet
		return advice + ", which CheckRedirect does not follow"
	}
	return advice
}

// redirects counts those that led to resp, with its own.
func redirects(resp *http.Response) (n int) {
	for ; resp != nil && resp.Request != nil; resp = resp.Request.Response {
		n++
	}
	return n
}

// wire is what http.Client sees of the user's transport. It has no CloseIdleConnections:
// go-retryablehttp calls that after each call that fails or is cancelled, and all the other calls
// would lose their connections.
type wire struct {
	base    http.RoundTripper
	client  *Client
	origin  *origin
	first   *attempt // watches all round trips of the try
	attempt *attempt // watches the writing of the last one
	called  bool
	err     error // of the last round trip
}

// RoundTrip sends req, without what is private to the first origin once a redirect has led away
// from it.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if strayed(req) {
		req = withoutPrivate(req)
	}
	if req.Response != nil {
		w.first.unprocessed() // what is answered by a redirect is not
		w.origin = w.client.origin(nethttp.Origin(req.URL))
		w.first.origin = w.origin
		req = w.first.watchHop(req)
	}
	req = w.once(req)
	if hasBody(req) {
		if req.Response != nil {
			w.attempt = new(attempt)
			req = req.WithContext(w.attempt.traceHop(req.Context()))
		}
		if req.Header.Get("Expect") != "" {
			req = w.attempt.watchBody(req)
		}
	}
	resp, err := w.base.RoundTrip(req)
	if err != nil {
		if why := w.first.why.Load(); why != nil {
			err = *why
		} else if text, ok := nethttp.Reason(err); ok { // net/http's own text advises to set a GetBody
			err = worded(text, err)
		}
	}
	w.called, w.err = true, err
	if resp != nil {
		w.first.mark(answered)
		w.origin.protocol.Store(int32(max(1, resp.ProtoMajor)))
		resp.Request = req // net/http does so, others forget; strayed and OutcomeOf rely on it
	}
	return resp, err
}

// strayed reports whether the redirects that led to req touched more than one origin. A way back to
// the first one is no safer: where it leads was chosen by another.
func strayed(req *http.Request) bool {
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

// publicHeaders say what the body is and what answer is wanted. Credentials, cookies, the Referer,
// which may hold a query, and headers that we do not know stay with the first origin: net/http
// keeps back only those that it knows.
var publicHeaders = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Content-Digest", "Content-Disposition", "Content-Encoding", "Content-Language",
	"Content-Type", "Expect", "Range", "User-Agent",
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
