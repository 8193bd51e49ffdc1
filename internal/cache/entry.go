package cache

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An entry is a stored response: a final answer to a GET, whole. It does not change.
type entry struct {
	status       int
	proto        string
	major, minor int
	uncompressed bool
	header       http.Header // without hop-by-hop fields and Age
	body         []byte
	vary         []field

	received time.Time     // when its header had come
	age      time.Duration // how old it was then (RFC 9111, section 4.2.3)
	lifetime time.Duration // for how long it is fresh, from its age 0 on

	// stale-while-revalidate; stale-if-error of the response or of the operator; unset if absent
	whileRevalidate, ifError time.Duration

	neverStale     bool // no-cache, must-revalidate or proxy-revalidate
	sharedAge      bool // s-maxage, which forbids stale use unless it is allowed explicitly
	forCredentials bool // may answer requests with Authorization (RFC 9111, section 3.5)

	etag, modified string // ETag and Last-Modified
}

// A policy is what the operator says of all responses.
type policy struct {
	ttl, ifError time.Duration
}

// A judgement is the entry that a response would be stored as, without its body, and whether it may
// be stored. If not, personal is set where it is the request that forbids it.
type judgement struct {
	entry              *entry
	storable, personal bool
}

// cacheable are the statuses that may be stored without explicit freshness (RFC 9110, section
// 15.1), but for 206: parts are never stored.
func cacheable(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// understood are the statuses whose rules of caching are kept here (must-understand).
func understood(status int) bool {
	return cacheable(status) || status == 302 || status == 303 || status == 307
}

// failed reports whether a status is that of an outage, for which RFC 5861 lets a stale response
// stand in.
func failed(status int) bool {
	switch status {
	case 500, 502, 503, 504:
		return true
	}
	return false
}

// judge decides whether a response may be stored (RFC 9111, section 3). It was asked for at the one
// instant and its header was received at the other; its header has a Date.
func (p policy) judge(req *http.Request, w *wish, resp *http.Response, asked, received time.Time,
) judgement {
	h := resp.Header
	r := ruleOf(h)
	fields, plain := varying(h, req.Header)
	status := resp.StatusCode
	lifetime, explicit := p.lifetime(h, &r, status)
	e := &entry{
		status: status, proto: resp.Proto, major: resp.ProtoMajor, minor: resp.ProtoMinor,
		uncompressed: resp.Uncompressed, header: kept(h, r.withheld), vary: fields,
		received: received, age: initialAge(h, asked, received), lifetime: lifetime,
		whileRevalidate: r.staleWhileRevalidate, ifError: r.staleIfError,
		neverStale: r.noCache || r.mustRevalidate || r.proxyRevalidate,
		sharedAge:  r.sharedMaxAge != unset,
		// proxy-revalidate is not in the list of section 3.5
		forCredentials: r.public || r.mustRevalidate || r.sharedMaxAge != unset,
	}
	e.etag, e.modified = e.header.Get("Etag"), e.header.Get("Last-Modified")
	if r.noCache {
		e.lifetime = 0
	}
	if !e.sharedAge && p.ifError > 0 {
		e.ifError = max(e.ifError, p.ifError)
	}
	switch {
	case status < 200, status == http.StatusPartialContent, status == http.StatusNotModified,
		r.noStore && !(r.mustUnderstand && understood(status)),
		r.mustUnderstand && !understood(status),
		r.private, !plain,
		!explicit && !r.public && !cacheable(status),
		len(h["Set-Cookie"]) > 0 && !r.public,
		// It would only fill the store.
		e.lifetime == 0 && e.etag == "" && e.modified == "" && !e.usableStale():
		return judgement{entry: e}
	case w.noStore, hasCredentials(req) && !e.forCredentials:
		return judgement{entry: e, personal: true}
	}
	return judgement{entry: e, storable: true}
}

// usableStale reports whether the entry may be of use when it is stale, besides revalidation.
func (e *entry) usableStale() bool {
	return !e.neverStale && (e.whileRevalidate > 0 || e.ifError > 0)
}

func hasCredentials(req *http.Request) bool { return len(req.Header["Authorization"]) > 0 }

// lifetime returns for how long a response is fresh, and reports whether it says so itself (RFC
// 9111, section 4.2.1).
func (p policy) lifetime(h http.Header, r *rule, status int) (d time.Duration, explicit bool) {
	switch {
	case r.sharedMaxAge != unset:
		return r.sharedMaxAge, true
	case r.maxAge != unset:
		return r.maxAge, true
	case len(h["Expires"]) > 0:
		expires, err := http.ParseTime(h["Expires"][0])
		date, dateErr := http.ParseTime(h.Get("Date"))
		if err != nil || dateErr != nil {
			return 0, true // such as "0": already expired (section 5.3)
		}
		return max(0, expires.Sub(date)), true
	case cacheable(status) || r.public:
		return p.ttl, false
	}
	return 0, false
}

// initialAge returns how old a response was when it was received: by its Date, or by its Age and
// the time that it took, whichever is more (RFC 9111, section 4.2.3).
func initialAge(h http.Header, asked, received time.Time) time.Duration {
	var apparent, said time.Duration
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		apparent = max(0, received.Sub(date))
	}
	value, _, _ := strings.Cut(h.Get("Age"), ",")
	said, _ = seconds(strings.TrimSpace(value)) // section 5.1: what is no number is ignored
	return max(apparent, said+max(0, received.Sub(asked)))
}

// ageAt returns the entry's age. The clock that goes on while a machine is suspended counts, and so
// does the one that nobody sets: whichever says more.
func (e *entry) ageAt(now time.Time) time.Duration {
	return e.age + max(0, now.Sub(e.received), now.Round(0).Sub(e.received.Round(0)))
}

// A verdict is whether an entry answers a request.
type verdict int

const (
	refuse     verdict = iota // forward the request
	accept                    // it answers the request
	acceptOnce                // it does, and is revalidated meanwhile
)

// assess decides whether the entry answers a request (RFC 9111, section 4.2). If not, it says why.
func (e *entry) assess(w *wish, now time.Time) (v verdict, why string) {
	age := e.ageAt(now)
	staleness := age - e.lifetime // fresh if below zero
	switch {
	case w.noCache, w.maxAge == 0, w.maxAge > 0 && age > w.maxAge,
		w.minFresh > 0 && staleness < 0 && -staleness < w.minFresh:
		if staleness >= 0 {
			return refuse, stale
		}
		return refuse, byRequest
	case staleness < 0:
		return accept, ""
	case e.neverStale || w.minFresh != unset:
	case staleness < e.whileRevalidate:
		return acceptOnce, ""
	case w.maxStale != unset && staleness <= w.maxStale && !e.sharedAge:
		return accept, ""
	}
	return refuse, stale
}

// standsIn reports whether the entry may be served because the server fails (RFC 5861, section 4).
func (e *entry) standsIn(w *wish, now time.Time) bool {
	if e == nil || e.neverStale || w.noCache {
		return false
	}
	allowed := e.ifError
	if !e.sharedAge {
		allowed = max(allowed, w.staleIfError)
	}
	return allowed > 0 && e.ageAt(now)-e.lifetime <= allowed
}

// hops are the fields that are about one connection only, besides those that Connection names (RFC
// 9110, section 7.6.1), and those that a cache keeps for itself (RFC 9111, section 3.1).
var hops = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate",
	"Proxy-Authentication-Info", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding",
	"Upgrade", "Age"}

// kept returns what is stored of a header.
func kept(h http.Header, withheld []string) http.Header {
	h = h.Clone()
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(textproto.TrimString(name))
		}
	}
	for _, name := range slices.Concat(hops, withheld) {
		delete(h, name)
	}
	return h
}

// with returns the entry with its body.
func (e *entry) with(body []byte) *entry {
	c := *e
	c.body = body
	if e.status != http.StatusNoContent {
		c.header = maps.Clone(e.header)
		c.header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	return &c
}

// merged returns the entry's header with the fields of a 304 in place of its own (RFC 9111, section
// 3.2), but those that are about the stored body.
func (e *entry) merged(h http.Header) http.Header {
	m := e.header.Clone()
	for name, values := range h {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Type", "Content-Range":
		default:
			m[name] = slices.Clone(values)
		}
	}
	return m
}

// validates reports whether a 304 is about this entry (RFC 9111, section 4.3.4): its strong ETag,
// if it has one, is the entry's.
func (e *entry) validates(h http.Header) bool {
	tag := h.Get("Etag")
	return tag == "" || e.etag == "" || strings.HasPrefix(tag, "W/") || tag == e.etag ||
		strings.HasPrefix(e.etag, "W/")
}

// size is about how much memory the entry holds.
func (e *entry) size() int {
	n := 256 + cap(e.body) + len(e.etag) + len(e.modified)
	for name, values := range e.header {
		n += 64 + len(name)
		for _, v := range values {
			n += 16 + len(v)
		}
	}
	for _, f := range e.vary {
		n += 32 + len(f.name) + len(f.value)
	}
	return n
}

// sameOrigin reports whether a URL that an answer to a request names has the request's origin, and
// returns its key.
func sameOrigin(req *http.Request, ref string) (key, bool) {
	base := *req.URL
	if req.Host != "" {
		base.Host = req.Host
	}
	u, err := base.Parse(ref)
	if err != nil {
		return key{}, false
	}
	own, other := keyOf(req.URL, req.Host), keyOf(u, "")
	if other.scheme != own.scheme || other.host != own.host && other.host != own.server {
		return key{}, false
	}
	other.server, other.host = own.server, own.host
	return other, true
}
