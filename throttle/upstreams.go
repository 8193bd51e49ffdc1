package throttle

import (
	"container/list"
	"iter"
	"net/http"
	"sync/atomic"

	"github.com/penstock/penstock/internal/nethttp"
)

const (
	defaultUpstreams = 1024

	// passedOver is how many upstreams in use are passed over, at most, to make room for a new one:
	// to look at all of them takes milliseconds where there are thousands.
	passedOver = 8
)

// An entry is an upstream that is not dropped while it has users: those that were given it, and may
// not be seen in it yet.
type entry struct {
	key      string
	upstream *Upstream
	users    atomic.Int64
}

func (e *entry) leave() { e.users.Add(-1) }

// Upstream returns the upstream of a key, for its live limits, a pause or a permit of one's own. If
// there is none it is made, as for a request; see [Transport.Lookup] and [Transport.KeyOf]. Beyond
// MaxUpstreams the one that was idle longest is forgotten, with its statistics and all that it had
// learned. Kept in any case are those in use, paused or down, those whose bucket is not full, and
// those whose limits were changed by SetLimits, until they are set back, and those that share a
// quota by SetLeaser or Cap. Ask for an upstream each
// time: one that was forgotten is not used any more.
func (t *Transport) Upstream(key string) *Upstream {
	e := t.enter(key)
	e.leave()
	return e.upstream
}

// Lookup returns the upstream of a key, and false if there is none: no request has gone there, or
// it was forgotten.
func (t *Transport) Lookup(key string) (*Upstream, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.mu.upstreams[key]
	if at == nil {
		return nil, false
	}
	return at.Value.(*entry).upstream, true
}

// Upstreams returns all upstreams with their keys, the one that was used last first. They are those
// of the instant at which the iteration begins; iterating does not count as use.
func (t *Transport) Upstreams() iter.Seq2[string, *Upstream] {
	return func(yield func(string, *Upstream) bool) {
		t.mu.Lock()
		entries := make([]*entry, 0, len(t.mu.upstreams))
		for at := t.mu.recent.Front(); at != nil; at = at.Next() {
			entries = append(entries, at.Value.(*entry))
		}
		t.mu.Unlock()
		for _, e := range entries {
			if !yield(e.key, e.upstream) {
				return
			}
		}
	}
}

// enter returns the upstream of a key, which is not dropped before leave is called.
func (t *Transport) enter(key string) *entry {
	t.mu.Lock()
	e := t.enterLocked(key)
	t.mu.Unlock()
	if e != nil {
		return e
	}
	limits := t.Limits
	if t.LimitsFor != nil {
		limits = t.LimitsFor(key) // which may take its time
	}
	u := NewUpstream(limits)
	u.observed = t.Observe != nil
	if t.LeaserFor != nil {
		if leaser := t.LeaserFor(key); leaser != nil {
			u.mu.leased = true
			u.line.setLeaser(leaser)
		}
	}
	u.line.maxPause = t.MaxPause
	if t.MaxPause <= 0 {
		u.line.maxPause = defaultMaxPause
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.enterLocked(key); e != nil { // somebody was faster
		return e
	}
	if t.mu.stopped {
		u.Stop(t.mu.stop)
	}
	if t.mu.upstreams == nil {
		t.mu.upstreams = make(map[string]*list.Element)
	}
	t.dropLocked()
	e = &entry{key: key, upstream: u}
	e.users.Store(1)
	t.mu.upstreams[key] = t.mu.recent.PushFront(e)
	return e
}

// enterLocked returns nil if there is no upstream yet. It requires that mu is held.
func (t *Transport) enterLocked(key string) *entry {
	at := t.mu.upstreams[key]
	if at == nil {
		return nil
	}
	t.mu.recent.MoveToFront(at)
	e := at.Value.(*entry)
	e.users.Add(1)
	return e
}

// dropLocked makes room for one more upstream, by forgetting those that were idle longest. It
// requires that mu is held.
func (t *Transport) dropLocked() {
	most := t.MaxUpstreams
	if most <= 0 {
		most = defaultUpstreams
	}
	for passed := 0; len(t.mu.upstreams) >= most && passed < passedOver; {
		at := t.mu.recent.Back()
		if e := at.Value.(*entry); e.users.Load() == 0 && e.upstream.idle() {
			t.mu.recent.Remove(at)
			delete(t.mu.upstreams, e.key)
		} else {
			t.mu.recent.MoveToFront(at)
			passed++
		}
	}
}

// KeyOf returns the key of the upstream that a request belongs to: what [Transport.Key] returns, or
// else its scheme and host in lower case, with the port if it is not the default one, such as
// "https://api.example.com" or "http://[::1]:8080". The request must have a URL.
func (t *Transport) KeyOf(req *http.Request) string {
	if t.Key != nil {
		return t.Key(req)
	}
	// Mostly all requests go to one server, and this saves an allocation for each.
	last := t.lastOrigin.Load()
	if last == nil || last.scheme != req.URL.Scheme || last.host != req.URL.Host {
		last = &origin{req.URL.Scheme, req.URL.Host, nethttp.Origin(req.URL)}
		t.lastOrigin.Store(last)
	}
	return last.key
}

// An origin is what KeyOf made of a URL.
type origin struct{ scheme, host, key string }
