package cache

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// get forwards a GET, or lets it wait for the fetch of another.
func (t *Transport) get(a *ask) (*http.Response, error) {
	if a.req.Body != nil {
		defer a.req.Body.Close()
	}
	for joined := 0; ; {
		apart := t.store.apart(a.key, time.Now())
		share := joined < maxJoined && !apart && !a.wish.picky() && !hasCredentials(a.req) &&
			(a.entry == nil || a.entry.lifetime > 0)
		f, first := t.board(a, share, apart)
		if f != nil {
			resp, err := t.await(a, f, first)
			if resp != nil || err != nil {
				return resp, err
			}
			if joined++; f.apart {
				joined = maxJoined
			}
			if joined == maxJoined && f.result == lost {
				return nil, f.err
			}
		}
		again, resp := t.look(a.req, time.Now())
		if resp != nil {
			return resp, nil
		}
		*a = again
	}
}

// await answers a request by a flight. It returns neither if the flight's answer is not for it.
func (t *Transport) await(a *ask, f *flight, first bool) (*http.Response, error) {
	ctx := a.req.Context()
	until := f.ready
	if first {
		until = f.head
		t.counts.misses.Add(1)
	}
	var slow <-chan time.Time
	if t.StaleAfter > 0 && a.entry.standsIn(&a.wish, time.Now()) {
		timer := time.NewTimer(t.StaleAfter - time.Since(f.started))
		defer timer.Stop()
		slow = timer.C
	}
	select {
	case <-until:
	case <-ctx.Done():
		t.leave(f, first)
		return nil, context.Cause(ctx)
	case <-slow:
		t.mu.Lock()
		t.adopt(f)
		t.mu.Unlock()
		t.leave(f, first)
		t.counts.stale.Add(1)
		return t.serve(a.req, a.entry, time.Now(), standing{fwd: a.why, detail: ifError,
			collapsed: !first}), nil
	}
	if first {
		return t.answer(a, f)
	}
	return t.share(a, f)
}

// answer answers the request that began a flight.
func (t *Transport) answer(a *ask, f *flight) (*http.Response, error) {
	now := time.Now()
	s := standing{fwd: a.why}
	switch f.result {
	case lost:
		t.leave(f, true)
		if instead := t.instead(a, nil, f.err); instead != nil {
			return instead, nil
		}
		return nil, f.err
	case freshed:
		t.leave(f, true)
		s.status, s.stored = http.StatusNotModified, f.whole != nil
		return t.serve(a.req, f.draft, now, s), nil
	}
	resp := *f.resp
	resp.Request = a.req
	resp.Header = f.resp.Header.Clone()
	resp.Trailer = f.resp.Trailer.Clone()
	s.status, s.stored = resp.StatusCode, f.result == recorded
	if f.result == passing {
		b := &loose{ReadCloser: f.resp.Body}
		b.leave = sync.OnceFunc(func() { t.leave(f, true) })
		b.stop = context.AfterFunc(a.req.Context(), b.leave)
		resp.Body = b
		if instead := t.instead(a, &resp, nil); instead != nil {
			return instead, nil
		}
	} else {
		if f.length {
			s.ttl, s.left = true, f.draft.lifetime-f.draft.ageAt(now)
		}
		resp.Body = newReader(a.req.Context(), f.tape, true, &resp, func() { t.leave(f, true) })
	}
	if notModified(a.req, resp.StatusCode, resp.Header) {
		// Nobody reads the body now; but it is worth storing.
		if f.result == recorded {
			t.mu.Lock()
			t.adopt(f)
			t.mu.Unlock()
		}
		resp.Body.Close()
		unchanged(a.req, &resp)
	}
	return t.marked(&resp, s), nil
}

// share answers a request by a flight that another has begun, if it can.
func (t *Transport) share(a *ask, f *flight) (*http.Response, error) {
	now := time.Now()
	if f.result == lost || f.result == passing {
		t.leave(f, false)
		var resp *http.Response
		if f.result == passing {
			resp = &http.Response{StatusCode: f.resp.StatusCode, Body: http.NoBody}
		}
		return t.instead(a, resp, f.err), nil
	}
	along := f.result == recorded && f.length // the body need not be whole
	var e *entry
	if along {
		e = f.draft
	} else {
		e = f.whole
	}
	if e == nil || !alike(e.vary, a.req.Header) {
		t.leave(f, false)
		return nil, nil
	}
	if v, _ := e.assess(&a.wish, now); v == refuse {
		t.leave(f, false)
		return nil, nil
	}
	t.counts.collapsed.Add(1)
	s := standing{fwd: a.why, collapsed: true}
	resp := t.serve(a.req, e, now, s)
	if !along || resp.StatusCode == http.StatusNotModified {
		t.leave(f, false)
		return resp, nil
	}
	resp.ContentLength = f.resp.ContentLength
	resp.Header["Content-Length"] = []string{strconv.FormatInt(resp.ContentLength, 10)}
	resp.Body = newReader(a.req.Context(), f.tape, false, resp, func() { t.leave(f, false) })
	return resp, nil
}

// A loose is the body of an answer that is for one request.
type loose struct {
	io.ReadCloser
	leave func()
	stop  func() bool
}

func (b *loose) Close() error {
	b.stop()
	err := b.ReadCloser.Close()
	b.leave()
	return err
}
