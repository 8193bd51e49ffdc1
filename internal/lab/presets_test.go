package lab

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A call is a request at an instant, and how and when it is answered, in milliseconds since the
// start.
type call struct{ at, status, after int }

// calls sends requests, some of them at once, and checks their answers.
func (b *bench) calls(want []call) {
	b.Helper()
	got := make([]call, len(want))
	var wg sync.WaitGroup
	for i, w := range want {
		b.at(time.Duration(w.at) * time.Millisecond)
		wg.Go(func() {
			a := b.put("/x", "1")
			got[i] = call{w.at, a.status, int(a.after / time.Millisecond)}
		})
		synctest.Wait() // for the order
	}
	wg.Wait()
	if !slices.Equal(got, want) {
		b.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestPresetCalls(t *testing.T) {
	tests := []struct {
		preset, params string
		calls          []call
	}{
		{"strict", "", []call{
			{0, 201, 0}, {39, 429, 39}, // due at 50, 10 too early is allowed
			{40, 201, 40}, {89, 429, 89}, // which does not move what is due: 100
			{90, 201, 90}, {141, 201, 141}, {190, 201, 190}, // due 200, then 250
			// a pause saves nothing up
			{1000, 201, 1000}, {1000, 429, 1000}, {1039, 429, 1039}, {1040, 201, 1040},
		}},
		{"strict", "rps=20&tolerance=0s", []call{
			{0, 201, 0}, {49, 429, 49}, {50, 201, 50}, {100, 201, 100}, {149, 429, 149},
			{151, 201, 151}, {200, 429, 200}, {201, 201, 201},
		}},
		{"strict", "rps=0.5", []call{
			{0, 201, 0}, {1989, 429, 1989}, {1990, 201, 1990}, {3989, 429, 3989}, {4000, 201, 4000},
		}},
		{"down", "after=1s&for=2s&mode=hang", []call{{0, 201, 0}, {1500, 201, 3000}}},
		{"threads", "k=2&service=100ms&backlog=3", []call{
			{0, 201, 100}, {0, 201, 100}, {0, 201, 200}, {0, 201, 200}, {0, 201, 300},
			{0, 503, 0}, {0, 503, 0}, {1000, 201, 1100},
		}},
		{"threads", "k=1&backlog=0&service=1s&refusal=429", []call{{0, 201, 1000}, {0, 429, 0}}},
		{"conns", "", []call{
			{0, 201, 100}, {0, 201, 100}, {0, 201, 100}, {0, 201, 100}, {0, 503, 0}, {99, 503, 99},
			{101, 201, 201}, {101, 201, 201}, {101, 201, 201}, {101, 201, 201},
		}},
		{"cpu", "cores=1&work=1s&timeout=1500ms&limit=2", []call{
			{0, 504, 1500}, {0, 504, 1500}, {0, 503, 0}, {2000, 201, 3000},
		}},
		{"quota", "rate=2&burst=1&service=10ms",
			[]call{{0, 201, 10}, {10, 429, 10}, {500, 201, 510}}},
		{"quota", "rate=10&burst=2&service=50ms", []call{
			{0, 201, 50}, {0, 201, 50}, {0, 429, 0}, {99, 429, 99}, {100, 201, 150},
			{199, 429, 199}, {200, 201, 250},
			{5000, 201, 5050}, {5000, 201, 5050}, {5000, 429, 5000},
		}},
		{"window", "n=2&window=1s", []call{ // of the wall clock
			{900, 201, 900}, {950, 201, 950}, {999, 429, 999},
			{1000, 201, 1000}, {1100, 201, 1100}, {1200, 429, 1200}, {1999, 429, 1999},
			{2000, 201, 2000},
		}},
		{"window", "n=1&window=1s&count-refused=on", []call{
			{0, 201, 0}, {900, 429, 900}, {999, 429, 999}, {1000, 201, 1000},
		}},
		{"window", "n=2&window=1s&kind=sliding", []call{
			{900, 201, 900}, {950, 201, 950}, {999, 429, 999}, {1000, 429, 1000}, {1899, 429, 1899},
			{1900, 201, 1900}, {1949, 429, 1949}, {1950, 201, 1950}, {2000, 429, 2000},
		}},
		{"window", "n=2&window=1s&kind=sliding&count-refused=on", []call{
			// 100 and 200 are there still
			{0, 201, 0}, {100, 201, 100}, {200, 429, 200}, {1000, 429, 1000},
			{1200, 201, 1200}, // 1000 and the one just now
			{1999, 429, 1999}, {2998, 201, 2998}, {2999, 201, 2999},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.preset+" "+tt.params, func(t *testing.T) {
			bubble(t, tt.preset, tt.params, func(t *testing.T, b *bench) {
				b.calls(tt.calls)
				accepted := 0
				for _, c := range tt.calls {
					if c.status == 201 {
						accepted++
					}
				}
				if s := b.Stats(); int(s.Accepted) != accepted ||
					int(s.Refused) != len(tt.calls)-accepted {
					t.Errorf("%+v", s)
				}
			})
		})
	}
	for _, status := range []int{500, 502, 503, 504, 520, 522, 599} {
		bubble(t, "down", fmt.Sprintf("after=1s&for=2s&mode=%d", status),
			func(t *testing.T, b *bench) {
				b.calls([]call{{0, 201, 0}, {999, 201, 999}, {1000, status, 1000},
					{2999, status, 2999}, {3000, 201, 3000}})
				b.want("faults", b.Stats().Faults, map[string]int64{"down": 2})
			})
	}
	for _, refusal := range []int{429, 502, 503, 509} {
		bubble(t, "quota", fmt.Sprintf("rate=2&burst=1&service=0s&refusal=%d", refusal),
			func(t *testing.T, b *bench) {
				b.calls([]call{{0, 201, 0}, {499, refusal, 499}, {500, 201, 500}})
				b.want("Retry-After", b.put("/x", "1").header.Get("Retry-After"), "1")
			})
	}
}

// A worker does not notice that its client has gone.
func TestThreadsGoOn(t *testing.T) {
	bubble(t, "threads", "k=1&service=1s&backlog=1", func(t *testing.T, b *bench) {
		b.client.Timeout = 200 * time.Millisecond
		if a := b.put("/gone", ""); a.err == nil || a.after != 200*time.Millisecond {
			t.Errorf("%d after %v", a.status, a.after)
		}
		b.client.Timeout = 0
		if a := b.put("/next", ""); a.status != 201 || a.after != 2*time.Second {
			t.Errorf("%d after %v; want 201 after 2s", a.status, a.after)
		}
		if s := b.Stats(); s.Accepted != 2 || s.Answered != 1 || s.Unanswered != 1 ||
			s.MaxInFlight != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestQuotaHeaders(t *testing.T) {
	names := []string{"RateLimit-Policy", "RateLimit", "X-RateLimit-Limit",
		"X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"}
	synctest.Test(t, func(t *testing.T) {
		fixed := newBench(t, "window", "n=2&window=10s&headers=true")
		sliding := newBench(t, "window", "n=2&window=10s&headers=true&kind=sliding&retry-after=off")
		bucket := newBench(t, "quota", "rate=0.25&burst=2&service=0s&headers=on")
		silent := newBench(t, "quota", "rate=0.25&burst=2&service=0s&retry-after=off")
		for _, tt := range []struct {
			at   time.Duration
			b    *bench
			want string
		}{
			{3500 * time.Millisecond, fixed, `"default";q=2;w=10 "default";r=1;t=7 2 1 7 `},
			{3500 * time.Millisecond, sliding, `"default";q=2;w=10 "default";r=1;t=10 2 1 10 `},
			{3500 * time.Millisecond, bucket, `"default";q=2;w=8 "default";r=1;t=4 2 1 4 `},
			{3500 * time.Millisecond, silent, `     `},
			{4 * time.Second, fixed, `"default";q=2;w=10 "default";r=0;t=6 2 0 6 `},
			{4 * time.Second, sliding, `"default";q=2;w=10 "default";r=0;t=10 2 0 10 `},
			{4 * time.Second, bucket, `"default";q=2;w=8 "default";r=0;t=4 2 0 4 `},
			{4 * time.Second, silent, `     `},
			{5 * time.Second, fixed, `"default";q=2;w=10 "default";r=0;t=5 2 0 5 5`},
			{5 * time.Second, sliding, `"default";q=2;w=10 "default";r=0;t=9 2 0 9 `},
			{5 * time.Second, bucket, `"default";q=2;w=8 "default";r=0;t=3 2 0 3 3`},
			{5 * time.Second, silent, `     `},
		} {
			tt.b.at(tt.at)
			h := tt.b.put("/x", "").header
			var got []string
			for _, name := range names {
				got = append(got, h.Get(name))
			}
			tt.b.want(tt.at.String(), strings.Join(got, " "), tt.want)
		}
	})
}
