package lab

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A call is a request at an instant, and how and when it is answered, in milliseconds since the
// start.
type call struct{ at, status, after int }

// calls sends requests, some of them at once, and checks their answers, and that they are counted.
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
	accepted := 0
	for _, w := range want {
		if w.status == 201 {
			accepted++
		}
	}
	if s := b.Stats(); int(s.Accepted) != accepted || int(s.Refused) != len(want)-accepted {
		b.Errorf("%+v", s)
	}
}

func TestModels(t *testing.T) {
	tests := []struct {
		preset, params string
		calls          []call
	}{
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
		{"quota", "rate=2&burst=1&service=10ms", []call{{0, 201, 10}, {10, 429, 10}, {500, 201, 510}}},
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
			{0, 201, 0}, {100, 201, 100}, {200, 429, 200}, {1000, 429, 1000}, // 100 and 200 are there still
			{1200, 201, 1200}, // 1000 and the one just now
			{1999, 429, 1999}, {2998, 201, 2998}, {2999, 201, 2999},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.preset+" "+tt.params, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newBench(t, tt.preset, tt.params).calls(tt.calls) })
		})
	}
	for _, refusal := range []int{429, 502, 503, 509} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "quota", fmt.Sprintf("rate=2&burst=1&service=0s&refusal=%d", refusal))
			b.calls([]call{{0, 201, 0}, {499, refusal, 499}, {500, 201, 500}})
			b.want("Retry-After", b.put("/x", "1").header.Get("Retry-After"), "1")
		})
	}
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
		if s := b.Stats(); s.Accepted != 2 || s.Answered != 1 || s.Unanswered != 1 || s.MaxInFlight != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestQuotaHeaders(t *testing.T) {
	type heads struct{ Policy, Quota, Limit, Remaining, Reset, RetryAfter string }
	synctest.Test(t, func(t *testing.T) {
		fixed := newBench(t, "window", "n=2&window=10s&headers=true")
		sliding := newBench(t, "window", "n=2&window=10s&headers=true&kind=sliding&retry-after=off")
		bucket := newBench(t, "quota", "rate=0.25&burst=2&headers=on")
		silent := newBench(t, "quota", "rate=0.25&burst=2&retry-after=off")
		for _, tt := range []struct {
			at                     time.Duration
			fixed, sliding, bucket heads
		}{
			{3500 * time.Millisecond,
				heads{`"default";q=2;w=10`, `"default";r=1;t=7`, "2", "1", "7", ""},
				heads{`"default";q=2;w=10`, `"default";r=1;t=10`, "2", "1", "10", ""},
				heads{`"default";q=2;w=8`, `"default";r=1;t=4`, "2", "1", "4", ""}},
			{4 * time.Second,
				heads{`"default";q=2;w=10`, `"default";r=0;t=6`, "2", "0", "6", ""},
				heads{`"default";q=2;w=10`, `"default";r=0;t=10`, "2", "0", "10", ""},
				heads{`"default";q=2;w=8`, `"default";r=0;t=4`, "2", "0", "4", ""}},
			{5 * time.Second,
				heads{`"default";q=2;w=10`, `"default";r=0;t=5`, "2", "0", "5", "5"},
				heads{`"default";q=2;w=10`, `"default";r=0;t=9`, "2", "0", "9", ""},
				heads{`"default";q=2;w=8`, `"default";r=0;t=3`, "2", "0", "3", "3"}},
		} {
			for b, want := range map[*bench]heads{fixed: tt.fixed, sliding: tt.sliding, bucket: tt.bucket, silent: {}} {
				time.Sleep(time.Until(b.start.Add(tt.at)))
				h := b.put("/x", "").header
				b.want(tt.at.String(), heads{h.Get("RateLimit-Policy"), h.Get("RateLimit"), h.Get("X-RateLimit-Limit"),
					h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset"), h.Get("Retry-After")}, want)
			}
		}
	})
}
