package fair

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/throttle"
)

// After Wait the first request leaves at once, and one that is sent again waits anew.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{Rate: 1, Fixed: true}, 0, nil)
		w.start(t.Context(), "a", "/")
		turn, err := w.Wait(WithClient(t.Context(), "b"), host, 10)
		if err != nil {
			t.Fatal(err)
		}
		defer turn.Release()
		ctx := turn.Context(t.Context())
		time.Sleep(100 * ms)
		for _, path := range []string{"/held", "/again"} {
			req, err := http.NewRequestWithContext(ctx, "PUT", host+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := w.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		w.idle()
		for i, want := range []time.Duration{0, 1100 * ms, 2 * time.Second} {
			if got := w.sent[i].at.Round(ms); got != want {
				t.Errorf("request %d left at %v, want %v", i, got, want)
			}
		}
	})
}

// A turn that is not used is handed back, and one that does not come is an error.
func TestWaitInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{InFlight: 1}, 0, nil)
		turn, err := w.Wait(t.Context(), host, 0)
		if err != nil {
			t.Fatal(err)
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, enough)
		defer cancel()
		if _, err := w.Wait(ctx, host, 0); err != enough {
			t.Errorf("it ends by %v", err)
		}
		turn.Release()
		if err := w.call(t.Context(), "a", "/"); err != nil {
			t.Error(err)
		}
		w.idle()
	})
}

// A client is named by its call's Trace, or else by the context.
func TestClientOf(t *testing.T) {
	ctx := WithClient(t.Context(), "context")
	for _, c := range []struct {
		trace *Trace
		want  string
	}{{nil, "context"}, {new(Trace), "context"}, {&Trace{Client: "trace"}, "trace"}} {
		if got := clientOf(ctx, c.trace); got != c.want {
			t.Errorf("%+v: the client is %q", c.trace, got)
		}
	}
}

// Who has joined the queue is woken when its turn has come, or will not come, and may leave before.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, throttle.Limits{Rate: 1, Fixed: true}, 0, nil)
		w.start(t.Context(), "a", "/")
		woken := make(chan string, 3)
		join := func(name string) *Place {
			return w.Join(WithClient(t.Context(), name), host, 5, func() { woken <- name })
		}
		b, c, d := join("b"), join("c"), join("d")
		if turn, err := b.Leave(); turn != nil || err != ErrLeft {
			t.Errorf("b left with %v, %v", turn, err)
		}
		if name := <-woken; name != "c" || time.Since(w.begin) != time.Second {
			t.Errorf("%s was woken after %v", name, time.Since(w.begin))
		}
		turn, err := c.Leave()
		if err != nil {
			t.Fatal(err)
		}
		turn.Release()
		stopped := errors.New("stopped")
		w.base.Stop(stopped)
		if name := <-woken; name != "d" {
			t.Errorf("%s was woken at the end", name)
		}
		if _, err := d.Leave(); !errors.Is(err, stopped) {
			t.Errorf("d got %v", err)
		}
		w.idle()
	})
}
