package throttle

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// acquired returns a permit of the upstream of http://a.
func acquired(t *testing.T, tr *Transport) *Permit {
	t.Helper()
	p, err := tr.Upstream("http://a").Acquire(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fetch is get with a context.
func fetch(ctx context.Context, c *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

// A request takes along the permit that was acquired for it. The next with the same context waits
// for its own, and so do a redirect and one to another upstream.
func TestWithPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/there" {
				http.Redirect(w, r, "/there/here", http.StatusTemporaryRedirect)
			}
		})
		// Weight and MaxQueue are for those that wait in the Transport's own queue.
		tr := &Transport{Base: s.base, Limits: Limits{Rate: 1},
			Weight: func(r *http.Request) int { return len(r.URL.Path) - 5 }}
		client := &http.Client{Transport: tr}
		p := acquired(t, tr)
		s.until(500 * ms)
		ctx := WithPermit(t.Context(), p)
		for _, url := range []string{"http://b/other", "http://a/first", "http://a/second"} {
			if err := fetch(ctx, client, url); err != nil {
				t.Error(err)
			}
		}
		s.want(t, "/other", 500*ms)
		s.want(t, "/first", 500*ms)
		s.want(t, "/second", 2*time.Second)
		p.Release()
		p.Done(Feedback{Signal: SignalOverloaded})
		if got := tr.Upstream("http://a").Stats(); got.Sent != 2 || got.Succeeded != 2 || got.Unreported != 0 {
			t.Errorf("%+v", got)
		}

		p = acquired(t, tr) // at 3 s
		if err := fetch(WithPermit(t.Context(), p), client, "http://a/there"); err != nil {
			t.Error(err)
		}
		s.want(t, "/there", 3*time.Second, 9*time.Second) // "/there/here" weighs 6
		wantIdle(t, "a", tr.Upstream("http://a"))
		wantIdle(t, "b", tr.Upstream("http://b"))
	})
}

// The request has the place of its permit until its own end, whenever the caller releases it.
func TestWithPermitHoldsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second) })
		tr := &Transport{Base: s.base, Limits: Limits{InFlight: 1, Fixed: true}}
		client := &http.Client{Transport: tr}
		p := acquired(t, tr)
		ctx := WithPermit(t.Context(), p)
		var group sync.WaitGroup
		for range 3 { // one of them is sent with the permit
			group.Go(func() {
				if err := fetch(ctx, client, "http://a/"); err != nil {
					t.Error(err)
				}
			})
		}
		s.until(500 * ms)
		p.Progress(1<<20, 1<<20)
		p.Release()
		group.Wait()
		s.want(t, "/", 0, time.Second, 2*time.Second)
		u := tr.Upstream("http://a")
		if got := u.Stats(); got.MaxInFlight != 1 || got.Sent != 3 {
			t.Errorf("%+v", got)
		}
		wantIdle(t, "released early", u)
	})
}

// Two permits of two Transports, one above the other, do not hide each other.
func TestWithPermitOfEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, ok)
		inner := &Transport{Base: s.base, Limits: Limits{Rate: 1}}
		outer := &Transport{Base: inner, Limits: Limits{Rate: 1, Fixed: true}}
		client := &http.Client{Transport: outer}
		ctx := WithPermit(WithPermit(t.Context(), acquired(t, outer)), acquired(t, inner))
		used := acquired(t, outer)
		used.Release()
		ctx = WithPermit(ctx, used) // does not hide the one that may be used
		if err := fetch(ctx, client, "http://a/"); err != nil {
			t.Error(err)
		}
		s.want(t, "/", time.Second)
		wantIdle(t, "inner", inner.Upstream("http://a"))
		wantIdle(t, "outer", outer.Upstream("http://a"))
	})
}

// A permit that no request used is the caller's, and Release gives it back.
func TestWithPermitUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Base: newSite(t, ok).base, Limits: Limits{InFlight: 1, Fixed: true}}
		client := &http.Client{Transport: tr}
		p := acquired(t, tr)

		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		cancel(gone)
		r, _ := http.NewRequestWithContext(WithPermit(ctx, p), "GET", "http://a/", nil)
		_, err := tr.RoundTrip(r)
		if !errors.Is(err, gone) || !errors.As(err, new(interface{ RetryAt() time.Time })) {
			t.Errorf("with an ended context: %v", err)
		}
		if err := fetch(WithPermit(t.Context(), p), client, "http://b/"); err != nil {
			t.Error(err)
		}
		if _, err := tr.RoundTrip((&http.Request{}).WithContext(WithPermit(t.Context(), p))); err == nil {
			t.Error("a request without a URL was sent")
		}
		u := tr.Upstream("http://a")
		if got := u.Stats(); got.InFlight != 1 || got.Sent != 1 {
			t.Errorf("before its release: %+v", got)
		}
		p.Release()
		wantIdle(t, "unused", u)

		// A permit that was released is not used.
		if err := fetch(WithPermit(t.Context(), p), client, "http://a/"); err != nil {
			t.Error(err)
		}
		if got := u.Stats(); got.Sent != 2 || got.Succeeded != 1 || got.Unreported != 1 {
			t.Errorf("after its release: %+v", got)
		}
		wantIdle(t, "released", u)
	})
}

// What net/http sends again by itself pays for itself.
func TestWithPermitResent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, dropping(2))
		tr := &Transport{Base: s.base, Limits: Limits{Rate: 10, InFlight: 1}}
		client := &http.Client{Transport: tr}
		get(t, client, "http://a/")
		r, _ := http.NewRequest("POST", "http://a/", strings.NewReader("body"))
		r.Header.Set("Idempotency-Key", "1")
		p := acquired(t, tr)
		resp, err := client.Do(r.WithContext(WithPermit(t.Context(), p)))
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		s.want(t, "/", 0, 100*ms, 200*ms)
		u := tr.Upstream("http://a")
		if got := u.Stats(); got.Sent != 3 || got.Succeeded != 2 {
			t.Errorf("%+v", got)
		}
		wantIdle(t, "resent", u)
	})
}

// A cool-down that has begun since the turn came holds for a request with its permit, too.
func TestWithPermitInACoolDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, ok)
		tr := &Transport{Base: s.base}
		p := acquired(t, tr)
		u := tr.Upstream("http://a")
		u.Pause(time.Now().Add(time.Minute), "test")
		if err := fetch(WithPermit(t.Context(), p), &http.Client{Transport: tr}, "http://a/"); err != nil {
			t.Error(err)
		}
		s.want(t, "/", time.Minute)
		wantIdle(t, "paused", u)
	})
}

// What waited is the permit; the request's own work before its sending is no wait, and no latency.
func TestWithPermitEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * ms) })
		begin := time.Now()
		var events []Event
		tr := &Transport{Base: s.base, Limits: Limits{Rate: 1}, Observe: func(e Event) { events = append(events, e) }}
		acquired(t, tr).Release()
		p := acquired(t, tr)
		s.until(1300 * ms)
		if err := fetch(WithPermit(t.Context(), p), &http.Client{Transport: tr}, "http://a/"); err != nil {
			t.Error(err)
		}
		if len(events) != 2 {
			t.Fatalf("events %+v", events)
		}
		sent, ended := events[0], events[1]
		if sent.Kind != EventSent || sent.Waited != time.Second || sent.WaitedFor != (Waited{Rate: time.Second}) ||
			!sent.Token.Equal(begin.Add(time.Second)) || sent.Request == nil {
			t.Errorf("sent: %+v", sent)
		}
		if ended.Kind != EventEnded || ended.Latency != 10*ms || ended.Status != 200 {
			t.Errorf("ended: %+v", ended)
		}
	})
}
