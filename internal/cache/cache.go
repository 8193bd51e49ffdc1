// Package cache is a shared HTTP cache in memory (RFC 9111), as an [http.RoundTripper].
//
// A [Transport] answers GET and HEAD from what it has stored while that is fresh, revalidates what
// is stale, lets equal GETs at one time be one fetch, and serves what is stale during an outage
// where the server or the operator allows it. Everything else goes to the Base. Each answer says in
// Cache-Status (RFC 9211) what became of its request.
//
// Under stress it stays within its bounds. What it stores and what it is recording are bounded
// together in bytes; an answer that does not fit is streamed to its client and not stored. A client
// that stops reading delays nobody, and one that goes away does not end a fetch that others wait
// for. No lock is held during a fetch.
//
// It never stores parts (206) or answers to other methods, has no storage on disk, and revalidates
// one stored answer at a time. A Range request is answered with a part of what is stored whole;
// otherwise it is forwarded as it is. A client's If-None-Match and If-Modified-Since are evaluated
// here: they are not forwarded unless the answers of that URL have turned out not to be storable,
// because a 304 would leave the cache empty.
//
// # Fetches
//
// A GET that is forwarded is sent in a goroutine of its own. Its context has the values of the
// first request's, but neither its end nor its deadline: it ends with the last request that needs
// it. What the values refer to must therefore be usable after the first request has ended.
//
// # Credentials
//
// A request without Authorization may get one below this cache, such as the relay's own. Its answer
// is stored as the response allows, and served to every client of this cache. Where the client
// itself has sent Authorization, the answer is stored and served only if the response allows that
// explicitly (RFC 9111, section 3.5). A request's cookies are ignored unless Vary names them.
package cache

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Transport is a cache before another transport. Set its fields before its first use. Its methods
// are safe for concurrent use. The zero value stores nothing and passes everything on untouched.
type Transport struct {
	// Base fetches what is not stored. If nil, http.DefaultTransport.
	Base http.RoundTripper

	// MaxBytes bounds the memory of all answers, with their headers and keys: three quarters are
	// for what is stored, one for what is being recorded. What a client still reads when it is
	// evicted does not count. If zero, nothing is stored, and requests and answers pass untouched.
	MaxBytes int64

	// MaxEntryBytes bounds one answer. A longer one is not stored. If zero, or more than that, a
	// sixteenth of MaxBytes.
	MaxEntryBytes int64

	// TTL is for how long an answer is fresh that says nothing about it and has a status that may
	// be stored without (RFC 9110, section 15.1; 404 is one). If zero, such an answer is only
	// stored to be revalidated, or for StaleIfError.
	TTL time.Duration

	// StaleIfError is for how long a stale answer may be served when the server fails, besides what
	// the answer itself allows (RFC 5861). Responses with must-revalidate, proxy-revalidate,
	// no-cache or s-maxage are exempt. If zero, only what the answer or the request allows.
	StaleIfError time.Duration

	// StaleAfter is how long a revalidation may take before an answer that may be served in an
	// outage is served, while the revalidation goes on. If zero, only its failure counts.
	StaleAfter time.Duration

	// Name is the cache's name in Cache-Status. If empty, penstock.
	Name string

	once  sync.Once
	name  string
	limit int64 // of one entry
	spare int64 // bytes of what is being recorded
	store *store
	work  sync.WaitGroup // goroutines that fetch

	counts struct {
		hits, misses, collapsed, stale, revalidated atomic.Int64
	}

	mu struct {
		sync.Mutex
		flights  map[key][]*flight // fetches that may be joined, or whose answer may be stored
		running  map[*flight]bool  // those whose goroutine has not ended
		reserved int64             // bytes of what is being recorded
		closed   bool
	}
}

// Stats are numbers of a Transport since it was made, and what it holds now.
type Stats struct {
	Entries int   // URLs with stored answers; approximate
	Bytes   int64 // of all that is stored

	Hits        int64 // answers without waiting for a fetch
	Misses      int64 // GETs and HEADs forwarded, revalidations included
	Collapsed   int64 // answers by a fetch that another request had begun
	Stale       int64 // stale answers, of which some are hits
	Revalidated int64 // stored answers that the server confirmed with 304
}

// Stats returns the numbers as they are now.
func (t *Transport) Stats() Stats {
	c := &t.counts
	s := Stats{Hits: c.hits.Load(), Misses: c.misses.Load(), Collapsed: c.collapsed.Load(),
		Stale: c.stale.Load(), Revalidated: c.revalidated.Load()}
	if t.on() {
		s.Entries = t.store.resources.EstimatedSize()
		s.Bytes = int64(t.store.resources.WeightedSize())
	}
	return s
}

// Close ends the fetches that are under way, those in the background among them, and waits for
// them. Call it when no request is under way. After it nothing is fetched in the background.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.mu.closed = true
	for f := range t.mu.running {
		f.cancel()
	}
	t.mu.Unlock()
	t.work.Wait()
	return nil
}

// CloseIdleConnections closes those of the Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

// on makes the store at the first call, and reports whether there is one.
func (t *Transport) on() bool {
	if t.MaxBytes <= 0 {
		return false
	}
	t.once.Do(func() {
		t.name = cacheName(t.Name)
		t.spare = t.MaxBytes / 4
		t.limit = t.MaxBytes / 16
		if t.MaxEntryBytes > 0 {
			t.limit = min(t.limit, t.MaxEntryBytes)
		}
		t.limit = min(t.limit, 1<<30) // what a weight can say, for a few variants
		t.store = newStore(t.MaxBytes - t.spare)
		t.mu.flights, t.mu.running = map[key][]*flight{}, map[*flight]bool{}
	})
	return true
}

// An ask is one GET or HEAD on its way through the cache.
type ask struct {
	req   *http.Request
	wish  wish
	key   key
	found *resource
	entry *entry // stored, and an answer if it were fresh; may be nil
	why   string // it is to be forwarded
}

// Stored answers req if what is stored does so at once, and returns nil if not: then the request
// has to go through RoundTrip. A server may call it before a request costs anything, such as a
// place in a queue. The request must be as it would be sent. Like RoundTrip it does not change it.
func (t *Transport) Stored(req *http.Request) *http.Response {
	if !t.on() || !lookable(req) {
		return nil
	}
	_, resp := t.look(req, time.Now())
	return resp
}

// lookable reports whether stored answers may be for the request.
func lookable(req *http.Request) bool {
	return (req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == "") &&
		!bypasses(req)
}

// bypasses reports whether a GET or HEAD is one that a cache has nothing to say to: it has content,
// wants another protocol, or has a condition that only the server can judge.
func bypasses(req *http.Request) bool {
	h := req.Header
	return req.Body != nil && req.Body != http.NoBody || len(h["Upgrade"]) > 0 ||
		len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0
}

// look looks for a stored answer. If resp is nil, the request has to be forwarded.
func (t *Transport) look(req *http.Request, now time.Time) (a ask, resp *http.Response) {
	a = ask{req: req, wish: wishOf(req.Header), key: keyOf(req.URL, req.Host), why: uriMiss}
	a.found = t.store.get(a.key)
	a.entry = a.found.match(req.Header)
	switch {
	case a.entry != nil && hasCredentials(req) && !a.entry.forCredentials:
		a.entry, a.why = nil, byRequest
	case a.entry != nil:
		v, why := a.entry.assess(&a.wish, now)
		if v == refuse {
			a.why = why
			break
		}
		t.counts.hits.Add(1)
		s := standing{}
		if v == acceptOnce {
			t.revalidate(&a)
			s.detail = whileRevalidate
		}
		if a.entry.ageAt(now) >= a.entry.lifetime {
			t.counts.stale.Add(1)
		}
		return a, t.serve(req, a.entry, now, s)
	case a.found != nil:
		a.why = varyMiss
	}
	return a, nil
}

// RoundTrip answers from the store, or by the Base. The answer's Cache-Status says which.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.on() {
		return t.base().RoundTrip(req)
	}
	if !lookable(req) {
		return t.pass(req)
	}
	a, resp := t.look(req, time.Now())
	switch {
	case resp != nil:
	case a.wish.onlyIfCached:
		resp = t.unavailable(req)
	case req.Method == http.MethodHead:
		t.counts.misses.Add(1)
		return t.head(&a)
	case len(req.Header["Range"]) > 0:
		t.counts.misses.Add(1)
		return t.part(&a)
	default:
		return t.get(&a)
	}
	if req.Body != nil {
		req.Body.Close()
	}
	return resp, nil
}
