package lab

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestThreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "threads", "k=2&service=100ms&backlog=3")
		// Two at work, three wait, two are refused at once; in order.
		want := []answer{{status: 201, after: 100}, {status: 201, after: 100}, {status: 201, after: 200}, {status: 201, after: 200},
			{status: 201, after: 300}, {status: 503}, {status: 503}}
		for i, a := range b.many(7) {
			if a.status != want[i].status || a.after != want[i].after*time.Millisecond {
				t.Errorf("request %d: %d after %v; want %d after %d ms", i, a.status, a.after, want[i].status, want[i].after)
			}
		}
		if s := b.Stats(); s.MaxInFlight != 6 || s.Accepted != 5 || s.Refused != 2 {
			t.Errorf("%+v", s)
		}
		b.at(time.Second) // and all is free again
		if a := b.put("/x", ""); a.after != 1100*time.Millisecond {
			t.Errorf("%d after %v", a.status, a.after)
		}
	})
}

// A worker does not notice that its client has gone.
func TestThreadsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "threads", "k=1&service=1s&backlog=1")
		b.client.Timeout = 200 * time.Millisecond
		if a := b.put("/gone", ""); a.err == nil || a.after != 200*time.Millisecond {
			t.Errorf("%d after %v", a.status, a.after)
		}
		b.client.Timeout = 0
		if a := b.put("/next", ""); a.status != 201 || a.after != 2*time.Second {
			t.Errorf("%d after %v; want 201 after 2s", a.status, a.after)
		}
		if s := b.Stats(); s.Accepted != 2 || s.Answered != 1 || s.Unanswered != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestThreadsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "threads", "k=1&service=1h")
		go func() {
			b.at(time.Second)
			b.Server.Close()
		}()
		for i, a := range b.many(3) {
			if a.err == nil || a.after != time.Second {
				t.Errorf("request %d: %d after %v", i, a.status, a.after)
			}
		}
	})
}

func TestConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "conns", "")
		for i, a := range b.many(6) {
			if i < 4 && (a.status != 201 || a.after != 100*time.Millisecond) || i >= 4 && (a.status != 503 || a.after != 0) {
				t.Errorf("request %d: %d after %v", i, a.status, a.after)
			}
		}
		for i, a := range b.many(4) { // each at the instant at which a place became free
			if a.status != 201 || a.after != 200*time.Millisecond {
				t.Errorf("request %d: %d after %v", i, a.status, a.after)
			}
		}
	})
}
