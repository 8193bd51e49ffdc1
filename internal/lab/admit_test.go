package lab

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// keyed sends a POST with an idempotency key.
func (b *bench) keyed(path, key, body string) answer {
	req := b.request("POST", path, body)
	req.Header.Set("Idempotency-Key", key)
	return b.do(req)
}

func TestKeysIgnored(t *testing.T) {
	bubble(t, "strict", "rps=1e9", func(t *testing.T, b *bench) {
		for range 3 {
			b.want("status", b.keyed("/x", "k", "a").status, 201)
		}
		s := b.Stats()
		if s.Accepted != 3 || s.Replayed != 0 || s.Reused != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestKeysHonoured(t *testing.T) {
	bubble(t, "threads", "keys=honour&service=1s", func(t *testing.T, b *bench) {
		var wg sync.WaitGroup
		for i, want := range []struct {
			at     time.Duration
			path   string
			key    string
			body   string
			status int
			after  time.Duration
			replay string
		}{
			{0, "/x", "k1", "a", 201, 1 * time.Second, ""},
			// the first is worked on
			{500 * time.Millisecond, "/x", "k1", "a", 409, 500 * time.Millisecond, ""},
			{500 * time.Millisecond, "/x", "k2", "b", 201, 1500 * time.Millisecond, ""},
			// another name
			{500 * time.Millisecond, "/y", "k1", "a", 201, 1500 * time.Millisecond, ""},
			{500 * time.Millisecond, "/x", "", "c", 201, 1500 * time.Millisecond, ""},
			{2 * time.Second, "/x", "k1", "a", 201, 2 * time.Second, "true"},
			// which is the client's mistake
			{2 * time.Second, "/x", "k1", "other", 201, 2 * time.Second, "true"},
		} {
			b.at(want.at)
			wg.Go(func() {
				a := b.keyed(want.path, want.key, want.body)
				if replay := a.header.Get("Idempotency-Replayed"); a.status != want.status ||
					a.after != want.after || replay != want.replay {
					t.Errorf("request %d: status %d after %v, replayed %q; want %+v", i, a.status,
						a.after, replay, want)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		s := b.Stats()
		if s.Accepted != 4 || s.Replayed != 2 || s.Reused != 1 || s.Unknown != 0 ||
			s.ByStatus[409] != 1 {
			t.Errorf("%+v", s)
		}
		b.want("times", s.Items["/x"].Times, int64(3))
	})
}

// A key is free again when its request was not stored: refused, or given up by the client. A fault
// hits an answer that is replayed as any other.
func TestKeysAndFaults(t *testing.T) {
	tests := []struct {
		kind                       string
		accepted, replayed, refuse int64
	}{
		{"500", 0, 0, 3},
		{"504-after", 1, 2, 3},
		{"reset-in", 0, 0, 0},
		{"reset-after", 1, 2, 0},
		{"truncated", 1, 2, 0},
	}
	for _, tt := range tests {
		t.Run(tt.kind, func(t *testing.T) {
			bubble(t, "flaky", always(tt.kind)+"&keys=honour", func(t *testing.T, b *bench) {
				for range 3 {
					b.keyed("/x", "k", "a")
				}
				synctest.Wait()
				s := b.Stats()
				if s.Accepted != tt.accepted || s.Replayed != tt.replayed ||
					s.Refused != tt.refuse || s.Faults[tt.kind] != 3 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
	t.Run("stalled", func(t *testing.T) {
		bubble(t, "flaky", always("stalled")+"&stall=1m&keys=honour", func(t *testing.T, b *bench) {
			b.client.Timeout = 10 * time.Second
			b.keyed("/x", "k", "a")
			b.client.Timeout = 0
			synctest.Wait()
			if a := b.keyed("/x", "k", "a"); a.status != 201 || a.after != 70*time.Second {
				t.Errorf("%+v", a)
			}
			if s := b.Stats(); s.Accepted != 1 || s.Unanswered != 1 {
				t.Errorf("%+v", s)
			}
		})
	})
}

func TestContentDigest(t *testing.T) {
	const sum = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=" // of "hello"
	for _, tt := range []struct {
		fields []string
		status int
	}{
		{nil, 201},
		{[]string{"sha-256=:" + sum + ":"}, 201},
		{[]string{"sha-512=:AAAA:, sha-256=:" + sum + ":"}, 201},
		{[]string{"sha-512=:AAAA:", "sha-256=:" + sum + ":"}, 201},
		{[]string{"sha-512=:AAAA:"}, 201},
		{[]string{"sha-256=:AAAA:"}, 400},
		{[]string{"sha-256=::"}, 400},
		{[]string{"sha-256=(:" + sum + ":)"}, 400},
		{[]string{"sha-256=" + sum}, 400},
		{[]string{"sha-256"}, 400},
		{[]string{";"}, 400},
	} {
		for preset, params := range map[string]string{
			"strict": "record=false", "conns": "", "slow": "", "tutorial": "", "flaky": quiet,
		} {
			t.Run(fmt.Sprint(preset, tt.fields), func(t *testing.T) {
				bubble(t, preset, params, func(t *testing.T, b *bench) {
					req := b.request("PUT", "/x", "hello")
					req.Header["Content-Digest"] = tt.fields
					b.want("status", b.do(req).status, tt.status)
					wrong := int64(0)
					if tt.status == 400 {
						wrong = 1
					}
					if s := b.Stats(); s.BadDigest != wrong || s.Accepted != 1-wrong {
						t.Errorf("%+v", s)
					}
				})
			})
		}
	}
}

func TestIfNoneMatch(t *testing.T) {
	bubble(t, "threads", "service=1s", func(t *testing.T, b *bench) {
		send := func(method, path string) int {
			req := b.request(method, path, "x")
			req.Header.Set("If-None-Match", "*")
			return b.do(req).status
		}
		// Of two that are worked on at once, one is stored.
		var wg sync.WaitGroup
		got := map[int]int{}
		var mu sync.Mutex
		for range 2 {
			wg.Go(func() {
				status := send("PUT", "/x")
				mu.Lock()
				defer mu.Unlock()
				got[status]++
			})
		}
		wg.Wait()
		b.want("at once", got, map[int]int{201: 1, 412: 1})
		b.want("again", send("PUT", "/x"), http.StatusPreconditionFailed)
		b.want("unconditional", b.put("/x", "y").status, 201)
		b.want("another", send("PUT", "/y"), 201)
		b.want("POST", send("POST", "/y"), 201)
		b.want("times", b.Stats().Items["/x"].Times, int64(2))
	})
}
