package lab

import (
	"errors"
	"net/http"
	"syscall"
	"testing"
	"time"
)

func TestDownRefuse(t *testing.T) {
	bubble(t, "down", "after=1s&for=2s", func(t *testing.T, b *bench) {
		b.calls([]call{{0, 201, 0}, {999, 201, 999}})

		// An upload that is under way dies with the server.
		req := b.request("PUT", "/killed", "")
		req.Body, req.ContentLength = dripping{}, 1<<40
		if a := b.do(req); a.err == nil || a.after.Truncate(10*time.Millisecond) != time.Second {
			t.Errorf("%d, %v after %v; want an error with the next drop after 1s", a.status,
				a.err, a.after)
		}
		for _, d := range []time.Duration{1100, 2999} {
			b.at(d * time.Millisecond)
			if a := b.put("/x", ""); !errors.Is(a.err, syscall.ECONNREFUSED) {
				t.Errorf("after %v: %d, %v; want it refused", a.after, a.status, a.err)
			}
		}
		b.calls([]call{{3001, 201, 3001}})
		if s := b.Stats(); s.Requests != 4 || s.Accepted != 3 || s.Unanswered != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// dripping is a body that never ends.
type dripping struct{}

func (dripping) Read(b []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return len(b), nil
}

func (dripping) Close() error { return nil }

// The same on a real listener, which is closed and opened again.
func TestDownRefuseTCP(t *testing.T) {
	_, l := startTCP(t, "down", "after=100ms&for=800ms")
	var refused, accepted bool
	deadline := time.Now().Add(10 * time.Second)
	for ; !accepted && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		resp, err := putTCP(t, l, "")
		if err == nil {
			resp.Body.Close()
			accepted = refused && resp.StatusCode == http.StatusCreated
		}
		refused = refused || errors.Is(err, syscall.ECONNREFUSED)
	}
	if !refused || !accepted {
		t.Errorf("refused: %v, then accepted: %v; want both", refused, accepted)
	}
}

func TestDownCloseMeanwhile(t *testing.T) {
	for _, after := range []time.Duration{0, 2 * time.Second} {
		bubble(t, "down", "after=1s&for=2s", func(t *testing.T, b *bench) {
			b.at(after)
			b.Server.Close()
			if d := time.Since(b.start); d != after {
				t.Errorf("closed after %v, want %v", d, after)
			}
		})
	}
}
