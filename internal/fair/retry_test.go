package fair

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// client returns a client that sends again, above w.
func (w *world) client() *retry.Client {
	return &retry.Client{HTTP: &http.Client{Transport: w.Transport}}
}

// deliver sends a request until it is accepted.
func (w *world) deliver(ctx context.Context, c *retry.Client, client, path string) error {
	ctx = WithClient(ctx, client)
	req, err := http.NewRequestWithContext(ctx, "PUT", host+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Client", client)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

// Where no limit is given and the server refuses what is too fast, shares are equal and no client
// sees a refusal.
func TestSharesOfALimitedServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		tokens, last := 5.0, time.Now()
		delivered := ""
		begin := time.Now()
		w := newWorld(t, throttle.Limits{}, 0, func(r *http.Request) *http.Response {
			time.Sleep(20 * ms)
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			tokens, last = min(tokens+50*now.Sub(last).Seconds(), 5), now
			if tokens < 1 {
				return status(http.StatusTooManyRequests)
			}
			tokens--
			if at := now.Sub(begin); at > 20*time.Second && at < time.Minute {
				delivered += r.Header.Get("Client")
			}
			return status(http.StatusOK)
		})
		client := w.client()
		for i := range 4 {
			for range 20 * (i + 1) {
				w.group.Go(func() {
					for time.Since(begin) < time.Minute {
						var trace Trace
						ctx := WithTrace(t.Context(), &trace)
						if err := w.deliver(ctx, client, string('a'+rune(i)), "/"); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		w.idle()
		wantShares(t, delivered, 4, 40*50*3/4)
	})
}

// To a server that accepts nothing goes what it has not refused yet: the first in line may be all
// that it refuses.
func TestProbesAreFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{InFlight: 1}, 10*ms, func(r *http.Request) *http.Response {
			if r.URL.Path == "/bad" {
				return status(http.StatusServiceUnavailable)
			}
			return status(http.StatusOK)
		})
		client := w.client()
		ctx, cancel := context.WithCancel(t.Context())
		for range 5 {
			w.group.Go(func() { w.deliver(ctx, client, "a", "/bad") })
		}
		time.Sleep(2*time.Minute + time.Second)
		before := len(w.sentNow())
		if s := w.Queue(host); before < 10 || s.Waiting != 5 {
			t.Errorf("%d were sent, %d wait", before, s.Waiting)
		}
		if err := w.deliver(t.Context(), client, "a", "/good"); err != nil {
			t.Error(err)
		}
		if next := w.sentNow()[before]; next.path != "/good" {
			t.Errorf("next was %s, at %v", next.path, next.at)
		}
		cancel()
		w.idle()
	})
}

// A call that comes again is still before those that came later, and its trace says where its time
// went.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := true
		w := newWorld(t, throttle.Limits{Rate: 1, Fixed: true}, 100*ms,
			func(r *http.Request) *http.Response {
				if r.URL.Path == "/first" && refuse {
					refuse = false
					return status(http.StatusConflict, "Retry-After", "2") // for this call alone
				}
				return status(http.StatusOK)
			})
		client := w.client()
		client.Policy.Wait = func(int, time.Duration) time.Duration { return 0 }
		var first, last Trace
		w.group.Go(func() {
			if err := w.deliver(WithTrace(t.Context(), &first), client, "a", "/first"); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		w.base.Upstream(host).Pause(w.begin.Add(10*time.Second), "test")
		w.start(t.Context(), "a", "/second")
		w.start(WithTrace(t.Context(), &last), "a", "/third")
		w.idle()
		want := []sending{{0, "a", "/first"}, {10 * time.Second, "a", "/first"},
			{11 * time.Second, "a", "/second"}, {12 * time.Second, "a", "/third"}}
		if !slices.Equal(w.sent, want) {
			t.Errorf("sent %v, want %v", w.sent, want)
		}
		for _, c := range []struct {
			trace *Trace
			want  Times
		}{
			{&first, Times{Queue: 7900 * ms, Waited: throttle.Waited{CoolDown: 7900 * ms},
				Attempts: 2, Upstream: 200 * ms}},
			{&last, Times{Queue: 12 * time.Second,
				Waited:   throttle.Waited{CoolDown: 10 * time.Second, Rate: 2 * time.Second},
				Attempts: 1, Upstream: 100 * ms}},
		} {
			got := c.trace.Times()
			got.Queue, got.Waited.CoolDown = got.Queue.Round(ms), got.Waited.CoolDown.Round(ms)
			if got != c.want { // retry waits a nanosecond longer than it was asked to
				t.Errorf("%+v, want %+v", got, c.want)
			}
		}
	})
}

// A trace counts a wait that was in vain, too.
func TestTraceInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{Rate: 1, Fixed: true}, 0, nil)
		w.start(t.Context(), "a", "/")
		var trace Trace
		ctx, cancel := context.WithTimeout(WithTrace(t.Context(), &trace), 300*ms)
		defer cancel()
		if err := w.call(ctx, "a", "/"); err == nil {
			t.Error("it was sent")
		}
		want := Times{Queue: 300 * ms, Waited: throttle.Waited{Rate: 300 * ms}}
		if got := trace.Times(); got != want {
			t.Errorf("%+v", got)
		}
		w.idle()
	})
}
