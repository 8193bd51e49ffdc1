package trip

import (
	"fmt"
	"net/http"

	"github.com/penstock/penstock/internal/drain"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/secret"
)

// Redirects says which redirects are followed: those where the same request goes to the same
// origin. A PUT that turned into a GET would be answered by a 200 which means nothing. A GET or
// HEAD may be redirected to another origin.
type Redirects struct {
	Cross bool // all may lead to another origin, but not from https to http
	// Check may refuse more, as in http.Client; it may be nil.
	Check func(next *http.Request, via []*http.Request) error
}

// MaxRedirects is how many http.Client follows by itself.
const MaxRedirects = 10

// Follow is the CheckRedirect of an http.Client.
func (r Redirects) Follow(next *http.Request, via []*http.Request) error {
	first, last := via[0], via[len(via)-1]
	switch {
	case len(via) >= MaxRedirects,
		nethttp.Method(next) != nethttp.Method(first),
		hasBody(first) && !hasBody(next),
		!r.mayLeave(first) && nethttp.Origin(next.URL) != nethttp.Origin(first.URL),
		!isDownload(first) && nethttp.Downgrades(last.URL, next.URL):
		return http.ErrUseLastResponse
	}
	if r.Check != nil {
		if err := r.Check(next, via); err != nil {
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

// mayLeave reports whether a redirect may lead req to another origin.
func (r Redirects) mayLeave(req *http.Request) bool { return r.Cross || isDownload(req) }

// isDownload reports whether req stays the same with every redirect.
func isDownload(req *http.Request) bool {
	method := nethttp.Method(req)
	return (method == http.MethodGet || method == http.MethodHead) && !hasBody(req)
}

// maxLocation is how many bytes are shown of an address that a server sends us to.
const maxLocation = 200

// Advice says where the answer to req points to, and why that was not followed: because its body
// could not be sent again, or another rule forbids it. If last is false, it may be followed yet. It
// returns "" for an answer that is no redirect.
func (r Redirects) Advice(req *http.Request, resp *http.Response, replayable, last bool) string {
	to, err := resp.Location() // relative to resp.Request, which Transport sets
	if err != nil {
		return ""
	}
	advice := ": redirected to " + secret.Shorten(secret.Address(to), maxLocation)
	var keeps bool
	switch resp.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		keeps = true
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		keeps = isDownload(req)
	default: // http.Client follows no other
		return advice
	}
	hops := 0
	for hop := resp; hop != nil && hop.Request != nil; hop = hop.Request.Response {
		hops++
	}
	const elsewhere = ", another origin, which is not followed: send there"
	leaves := nethttp.Origin(to) != nethttp.Origin(resp.Request.URL)
	switch {
	case leaves && !r.mayLeave(req):
		return advice + elsewhere
	case nethttp.Downgrades(resp.Request.URL, to) && !isDownload(req):
		return advice + ", without TLS, which is not followed"
	case !keeps:
		return advice + ": following would drop the body or change the method, so send there"
	case !replayable:
		return advice + ": the request's body cannot be sent again: set GetBody"
	case hops >= MaxRedirects:
		return advice + fmt.Sprintf(", the %dth redirect in a row: no more are followed", hops)
	case last && leaves:
		return advice + elsewhere
	case last:
		return advice + ", which CheckRedirect does not follow"
	}
	return advice
}
