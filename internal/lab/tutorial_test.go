package lab

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTutorial(t *testing.T) {
	bubble(t, "tutorial", "", func(t *testing.T, b *bench) {
		send := func(header, key string) answer {
			req := b.request("POST", "/v1/files", "x")
			if header != "" {
				req.Header.Set(header, key)
			}
			return b.do(req)
		}

		// Bubbles begin with a whole second of the wall clock.
		b.at(900 * time.Millisecond)
		for i, a := range b.many(6) {
			left := []string{"3", "2", "1", "0", "0", "0"}[i]
			b.want("limit", a.header.Get("X-RateLimit-Limit-second"), "4")
			b.want("left", a.header.Get("X-RateLimit-Remaining-second"), left)
			if i < 4 && (a.status != 201 || a.after != 1930*time.Millisecond) {
				t.Errorf("request %d: %d after %v; want 201 after 1.93s", i, a.status, a.after)
			}
			if i >= 4 && (a.status != 429 || a.after != 900*time.Millisecond) {
				t.Errorf("request %d: %d after %v; want 429 after 900ms", i, a.status, a.after)
			}
		}

		// Each key has its own count, in the next second it starts again.
		b.at(4 * time.Second)
		for range 4 {
			go send("X-Api-Key", "a")
		}
		synctest.Wait()
		if a := send("X-Api-Key", "a"); a.status != 429 {
			t.Errorf("fifth request with a key: %d", a.status)
		}
		for _, header := range []string{"X-Api-Key", "Authorization", ""} {
			go func() {
				if a := send(header, "b"); a.status != 201 || a.after != 5030*time.Millisecond {
					t.Errorf("another key in %q: %d after %v; want 201 after 5.03s", header,
						a.status, a.after)
				}
			}()
		}
		b.at(4999 * time.Millisecond)
		if a := send("X-Api-Key", "a"); a.status != 429 {
			t.Errorf("at the end of the second: %d", a.status)
		}
		b.at(5 * time.Second)
		if a := send("X-Api-Key", "a"); a.status != 201 {
			t.Errorf("in the next second: %d", a.status)
		}
		if s := b.Stats(); s.MaxInFlight != 8 || s.MaxIn1s != 9 {
			t.Errorf("at most %d in flight and %d in a second, want 8 and 9", s.MaxInFlight,
				s.MaxIn1s)
		}
	})
}
