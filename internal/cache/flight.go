package cache

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"
)

// maxJoined is how many fetches of others a request waits for before it makes its own.
const maxJoined = 2

// A result is what became of a fetch.
type result int

const (
	under    result = iota // its answer's header has not come
	lost                   // it ended with an error
	passing                // its answer is for the request that began it, and for no other
	freshed                // the stored entry is right
	recorded               // its answer is being recorded, or has been
)

// A flight is one fetch of a GET, in a goroutine of its own. It ends with the last request that
// needs it.
type flight struct {
	key     key
	out     *http.Request // as it is sent
	wish    wish
	old     *entry // that is revalidated; may be nil
	sent    *instant
	started time.Time
	cancel  context.CancelFunc
	shared  bool          // others may join
	head    chan struct{} // closed when the first request can be answered, or not
	ready   chan struct{} // closed when others can

	// written before head is closed
	result result
	resp   *http.Response // of lost: nil
	err    error          // of lost
	tape   *tape          // of recorded
	length bool           // the body's length is known
	draft  *entry         // of freshed, and of recorded: without its body

	// written before ready is closed
	whole *entry // nil unless recorded or freshed, and for others
	apart bool   // an answer of this URL is for one request

	// under Transport.mu
	users     int // requests that need it, and the background if adopted is set
	adopted   bool
	firstGone bool          // the first request has gone
	body      io.ReadCloser // for the first request alone; it is closed when that goes
	reserved  int64
	ended     bool // the goroutine has ended
	void      bool // its answer may be out of date
}

// An instant is when a request was last sent.
type instant struct{ atomic.Pointer[time.Time] }

func (i *instant) at() time.Time { return *i.Load() }

// timed returns the request with a trace that notes when it gets a connection: what it waits in
// queues and pauses before does not make its answer older.
func timed(req *http.Request) (*http.Request, *instant) {
	i := &instant{}
	now := time.Now()
	i.Store(&now)
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) {
			now := time.Now()
			i.Store(&now)
		},
	})), i
}

// board returns a fetch that answers a request, perhaps: one that is under way, or a new one, which
// the request begins. It returns nil if what is stored has changed since the request looked.
func (t *Transport) board(a *ask, share, asIs bool) (f *flight, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if share {
		if t.store.get(a.key).match(a.req.Header) != a.entry {
			return nil, false
		}
		for _, f := range t.mu.flights[a.key] {
			if f.shared && f.suits(a) {
				f.users++
				return f, false
			}
		}
	}
	f = t.begin(a, asIs)
	f.shared = share
	f.users = 1
	return f, true
}

// suits reports whether a flight's answer may be for a request, as far as that is known: a request
// does not wait for an answer in another language.
func (f *flight) suits(a *ask) bool {
	select {
	case <-f.head:
		return f.draft != nil && alike(f.draft.vary, a.req.Header)
	default:
	}
	if a.found == nil {
		return true
	}
	for _, by := range a.found.entries[0].vary {
		if normal(by.name, f.out.Header[by.name]) != normal(by.name, a.req.Header[by.name]) {
			return false
		}
	}
	return true
}

// begin starts a fetch. It requires that mu is held.
func (t *Transport) begin(a *ask, asIs bool) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.req.Context()))
	out, sent := timed(a.req.Clone(ctx))
	// What begins a fetch in the background may be for less than the whole.
	out.Method = http.MethodGet
	out.Header.Del("Range")
	out.Header.Del("If-Range")
	f := &flight{
		key: a.key.clone(), out: out, wish: a.wish, old: a.entry, sent: sent, started: time.Now(),
		cancel: cancel, head: make(chan struct{}), ready: make(chan struct{}),
	}
	if a.entry != nil {
		a.entry.condition(out.Header)
	} else if !asIs {
		// The client's condition would bring a 304, with nothing to store.
		unconditional(out.Header)
	}
	t.mu.running[f] = true
	t.mu.flights[f.key] = append(t.mu.flights[f.key], f)
	t.work.Go(func() { t.fetch(f) })
	return f
}

// drop removes a flight from those that may be joined. It requires that mu is held.
func (t *Transport) drop(f *flight) {
	flights := slices.DeleteFunc(t.mu.flights[f.key], func(o *flight) bool { return o == f })
	if len(flights) == 0 {
		delete(t.mu.flights, f.key)
	} else {
		t.mu.flights[f.key] = flights
	}
}

// leave ends a request's need of a flight, which is cancelled if it was the last.
func (t *Transport) leave(f *flight, first bool) {
	t.mu.Lock()
	var body io.Closer
	if first {
		f.firstGone = true
		if f.body != nil {
			body, f.body = f.body, nil
		}
	}
	f.users--
	last := f.users == 0
	if last {
		t.drop(f)
		t.release(f)
	}
	t.mu.Unlock()
	if last {
		f.cancel()
	}
	if body != nil {
		body.Close()
	}
}

// adopt lets a flight go on without requests, and reports whether it may. It requires that mu is
// held.
func (t *Transport) adopt(f *flight) bool {
	if t.mu.closed {
		return false
	}
	if !f.adopted && !f.ended {
		f.adopted = true
		f.users++
	}
	return true
}

// revalidate fetches a stored answer anew in the background, unless it is being fetched.
func (t *Transport) revalidate(a *ask) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.mu.flights[a.key] {
		if f.old == a.entry {
			return
		}
	}
	if t.mu.closed {
		return
	}
	t.counts.misses.Add(1)
	f := t.begin(a, false)
	f.shared = !a.wish.picky() && !hasCredentials(a.req)
	f.firstGone = true
	t.adopt(f)
}

// fetch sends a flight's request, and records the answer if it is for others too.
func (t *Transport) fetch(f *flight) {
	defer t.end(f)
	old := f.old
	resp, err := t.base().RoundTrip(f.out)
	if err == nil && resp.StatusCode == http.StatusNotModified && old != nil &&
		!old.validates(resp.Header) {
		// The server confirms what is not stored here.
		resp.Body.Close()
		t.supersede(f.key, old)
		again := f.out.Clone(f.out.Context())
		unconditional(again.Header)
		old = nil
		resp, err = t.base().RoundTrip(again)
	}
	if err != nil {
		f.err = err
		t.settle(f, lost)
		return
	}
	now := time.Now()
	dated(resp, now)
	// A copy: the transport writes trailers to its own while the body is read.
	c := *resp
	c.Trailer = resp.Trailer.Clone()
	f.resp = &c
	if resp.StatusCode == http.StatusNotModified && old != nil {
		resp.Body.Close()
		j := t.freshen(f.key, old, f.out, &f.wish, resp, f.sent.at(), now)
		f.draft = j.entry
		if j.storable {
			f.whole = j.entry
		}
		t.settle(f, freshed)
		return
	}
	outage := failed(resp.StatusCode)
	if old != nil && outage && old.usableStale() {
		t.settle(f, passing) // the stored answer is worth more
		return
	}
	j := policy{t.TTL, t.StaleIfError}.judge(f.out, &f.wish, resp, f.sent.at(), now)
	long := resp.ContentLength > t.limit-int64(j.entry.size())
	if !j.storable || long {
		// A 304 to the client's own condition says nothing of the whole.
		if !j.personal && !outage && resp.StatusCode != http.StatusNotModified {
			f.apart = true
			t.store.keepApart(f.key, now)
			if old != nil {
				t.supersede(f.key, old)
			}
		}
		t.settle(f, passing)
		return
	}
	f.draft, f.tape, f.length = j.entry, newTape(), resp.ContentLength >= 0
	if f.length && !t.reserve(f, resp.ContentLength) {
		f.draft = nil
		t.settle(f, passing)
		return
	}
	t.settle(f, recorded)
	t.record(f, resp)
}

// supersede removes an entry in whose place the server has something that is not stored.
func (t *Transport) supersede(k key, old *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.store.replace(k, old, nil)
}

// settle gives the requests that wait the result of a flight.
func (t *Transport) settle(f *flight, r result) {
	t.mu.Lock()
	f.result = r
	if r != recorded {
		t.drop(f)
	}
	var body io.Closer
	if r == passing {
		if f.firstGone {
			body = f.resp.Body
		} else {
			f.body = f.resp.Body
		}
	}
	t.mu.Unlock()
	close(f.head)
	if r != recorded || f.length {
		close(f.ready)
	}
	if body != nil {
		body.Close()
	}
}

// end ends what the background needed of a flight.
func (t *Transport) end(f *flight) {
	t.mu.Lock()
	delete(t.mu.running, f)
	f.ended = true
	adopted := f.adopted
	if f.users == 0 {
		t.release(f)
	}
	t.mu.Unlock()
	if adopted {
		t.leave(f, false)
	}
}

// reserve takes memory for what a flight records, and reports whether there is any.
func (t *Transport) reserve(f *flight, n int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.reserved+n > t.spare {
		return false
	}
	t.mu.reserved += n
	f.reserved += n
	return true
}

// release gives back the memory of a flight that has ended. It requires that mu is held.
func (t *Transport) release(f *flight) {
	if f.ended {
		t.mu.reserved -= f.reserved
		f.reserved = 0
	}
}
