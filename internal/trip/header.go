package trip

import (
	"net/http"

	"github.com/penstock/penstock/internal/nethttp"
)

// Header returns the headers to send req with: its own if nothing changes and no copy is wanted. If
// ask is true it asks for a 100 Continue.
//
// net/http takes an idempotency key as permission to send a request again by itself, even after it
// was sent whole. If the user gave none, the key is spelled so that net/http does not recognise it;
// to servers a name is the same in any case.
func Header(req *http.Request, ask, repeatable, copied bool) http.Header {
	hide := !repeatable && nethttp.HasKey(req)
	if !hide && !ask && !copied {
		return req.Header
	}
	h := req.Header.Clone()
	if h == nil {
		h = make(http.Header)
	}
	if ask {
		h.Set("Expect", "100-continue")
	}
	if hide {
		respell(h, "Idempotency-Key", "idempotency-key")
		respell(h, "X-Idempotency-Key", "x-idempotency-key")
	}
	return h
}

func respell(h http.Header, from, to string) {
	if values := h[from]; values != nil {
		delete(h, from)
		h[to] = values
	}
}

// AskFrom is the length in bytes from which on a request asks before it sends its body (Expect:
// 100-continue, RFC 9110 section 10.1.1): about what the socket buffers of both sides swallow
// (Linux grows them to 4 and 6 MiB). A smaller body is mostly written by the time the answer comes.
//
// Asking saves a large body that would be refused, and it saves the answer: a server that refuses
// early and closes while we still write makes the kernel reset the connection, and the answer is
// lost with it. It matters on HTTP/1.1 and where the transport's ExpectContinueTimeout is above
// zero, as it is in net/http's default.
const AskFrom = 4 << 20

// Asks reports whether a request to the origin should ask for a 100 Continue: if it is large, or
// was cut off before.
func (o *Origin) Asks(req *http.Request, cutOff bool) bool {
	return hasBody(req) && (req.ContentLength >= AskFrom || cutOff) &&
		o.expectsIgnored.Load() < ExpectsBeforeOff && req.Header.Get("Expect") == ""
}
