package fair

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/throttle"
)

// A request whose context ends leaves at once, and takes up no turn.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{Rate: 1, Fixed: true}, 0, nil)
		w.start(t.Context(), "a", "/")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 500*ms, errors.New("gave up"))
		defer cancel()
		w.start(t.Context(), "b", "/")
		err := w.call(ctx, "a", "/")
		if at := time.Since(w.begin); at != 500*ms || err == nil ||
			err.Error() != "throttle: not sent: gave up" {
			t.Errorf("after %v: %v", at, err)
		}
		var at interface{ RetryAt() time.Time }
		if !errors.As(err, &at) || !at.RetryAt().Equal(time.Now()) {
			t.Errorf("no RetryAt: %v", err)
		}
		w.idle()

		// With the last that waits the dispatcher leaves, too: the token stays.
		ctx, cancel = context.WithTimeout(t.Context(), 500*ms)
		defer cancel()
		if err := w.call(ctx, "a", "/"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		w.idle()
		time.Sleep(time.Second)
		for range 2 {
			w.start(t.Context(), "c", "/")
		}
		w.idle()
		if got := w.order(); got != "abcc" || w.sent[2].at != 2500*ms || w.sent[3].at != 3500*ms {
			t.Errorf("%+v", w.sent)
		}
		if s := w.base.Upstream(host).Stats(); s.Unreported != 0 || s.Sent != 4 {
			t.Errorf("%+v", s)
		}
		// A context that has ended already sends nothing.
		if err := w.call(ctx, "a", "/"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		w.idle()
	})
}

// Whether a turn or the end of its context comes first, at one instant, no permit is lost.
func TestCancelledInItsTurn(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, throttle.Limits{InFlight: 1, Fixed: true}, 100*ms, nil)
			w.start(t.Context(), "a", "/")
			for _, client := range []string{"b", "c", "d"} {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(100*ms, cancel)
				w.start(ctx, client, "/")
			}
			w.start(t.Context(), "e", "/")
			w.idle()
			if got := w.order(); !strings.HasPrefix(got, "a") || !strings.HasSuffix(got, "e") {
				t.Error(got)
			}
			if at := w.sent[len(w.sent)-1].at; at != 100*ms {
				t.Errorf("the last was sent at %v", at)
			}
		})
	}
}

// A permit that comes when all have left is given back, and one that its call does not want goes to
// the next.
func TestPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{InFlight: 1, Fixed: true}, 100*ms, nil)
		u := w.base.Upstream(host)
		first, err := u.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		w.start(t.Context(), "a", "/")
		w.Transport.mu.Lock()
		q := w.Transport.mu.queues[host]
		w.Transport.mu.Unlock()
		w.passOn(q, turn{permit: first})
		w.idle()
		if got := w.order(); got != "a" {
			t.Errorf("sent %q", got)
		}
		second, err := u.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		w.passOn(q, turn{permit: second})
		w.idle()
		if s := u.Stats(); s.Unreported != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{Rate: 1, Fixed: true}, 0, nil)
		enough := errors.New("enough")
		w.start(t.Context(), "a", "/")
		for range 3 {
			w.group.Go(func() { wantStop(t, w.call(t.Context(), "a", "/"), enough) })
		}
		time.Sleep(500 * ms)
		w.base.Stop(enough)
		w.idle()
		wantStop(t, w.call(t.Context(), "b", "/"), enough)
		w.idle()
		if time.Since(w.begin) != 500*ms || w.order() != "a" {
			t.Errorf("at %v: %s", time.Since(w.begin), w.order())
		}
	})
}

func wantStop(t *testing.T, err, why error) {
	t.Helper()
	if !errors.As(err, new(*throttle.StopError)) || !errors.Is(err, why) {
		t.Error(err)
	}
}

// A cool-down holds all; one too long fails all. A deadline that comes before its end says when to
// come again.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{InFlight: 1, Fixed: true}, 0, nil)
		u := w.base.Upstream(host)
		u.Pause(w.begin.Add(time.Minute), "test")
		w.start(t.Context(), "a", "/")
		w.start(t.Context(), "b", "/")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.call(ctx, "a", "/")
		var at interface{ RetryAt() time.Time }
		if !errors.As(err, &at) || !at.RetryAt().Equal(w.begin.Add(time.Minute)) {
			t.Errorf("past its deadline: %v", err)
		}
		w.idle()
		if at := time.Since(w.begin); at != time.Minute || w.order() != "ab" {
			t.Errorf("at %v: %s", at, w.order())
		}
		u.Pause(time.Now().Add(2*time.Hour), "test")
		for range 3 {
			err := w.call(t.Context(), "a", "/")
			if !errors.As(err, new(*throttle.PausedError)) {
				t.Error(err)
			}
		}
		w.idle()
		u.Resume()
		if err := w.call(t.Context(), "a", "/"); err != nil {
			t.Error(err)
		}
		w.idle()
	})
}
