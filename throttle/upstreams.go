package throttle

import (
	"container/list"
	"net/http"
	"sync/atomic"

	"github.com/penstock/penstock/internal/nethttp"
)

// An entry is an upstream that is not dropped while it has users: those that were given it, and may
// not be seen in it yet.
type entry struct {
	key      string
	upstream *Upstream
	users    atomic.Int64
}

func (e *entry) leave() { e.users.Add(-1) }

// Upstream returns the upstream of a key: its statistics and live limits. There
// is one for each key that was asked for. Beyond MaxUpstreams the one that was idle
// longest is forgotten, with its statistics and all that it had learned. Kept in any
// case are those in use, paused or down, those whose bucket is not full, and those
// whose limits were changed by SetLimits, until they are set back. Ask for an
// upstream each time: one that was forgotten is not used any more.
func (t *Transport) Upstream(key string) *Upstream {
	e := t.enter(key)
	e.leave()
	return e.upstream
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
	u.line.maxPause = t.MaxWait
	if t.MaxWait <= 0 {
		u.line.maxPause = defaultMaxWait
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

func (t *Transport) key(req *http.Request) string {
	if t.Key != nil {
		return t.Key(req)
	}
	return nethttp.Origin(req.URL)
}
