package lab

import (
	"sync"
	"time"
)

var windowPreset = preset{Preset{
	Name:    "window",
	Summary: "n requests in a window of time, fixed or sliding, else 429",
	Params: []Param{
		{"n", "100", "requests in a window"},
		{"window", "10s", "its length"},
		{"kind", "fixed", "fixed: windows begin on the wall clock; sliding: any n+1 requests must span a window"},
		{"headers", "false", "tell the quota with every answer: RateLimit, RateLimit-Policy, X-RateLimit-*, all in seconds from now"},
		{"count-refused", "false", "refused requests use up quota too (it matters where the window slides)"},
		{"retry-after", "true", "a 429 says when there is quota again"},
	},
}, func(v *values) rule {
	return modelled{NewQuota(Quotas{
		N:            v.count("n", 1),
		Window:       v.duration("window", time.Nanosecond),
		Sliding:      v.choice("kind", "fixed", "sliding") == "sliding",
		CountRefused: v.flag("count-refused"),
		RetryAfter:   v.flag("retry-after"),
		Headers:      v.flag("headers"),
	})}
}}

// fixedWindow starts again with each multiple of its span on the wall clock.
// What a refused request would count is forgotten with the rest.
type fixedWindow struct {
	n    int
	span time.Duration

	mu    sync.Mutex // protects the two below
	start time.Time
	used  int
}

func (w *fixedWindow) take(t time.Time) (bool, int, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if start := t.Truncate(w.span); start.After(w.start) {
		w.start, w.used = start, 0
	}
	ok := w.used < w.n
	if ok {
		w.used++
	}
	return ok, w.n - w.used, w.start.Add(w.span).Sub(t)
}

// slidingWindow has quota where fewer than n of the requests that count are
// younger than its span.
type slidingWindow struct {
	n            int
	span         time.Duration
	countRefused bool

	mu      sync.Mutex // protects all below
	epoch   time.Time  // the first request
	last    time.Duration
	counted ring // at most n: older ones decide nothing
}

func (w *slidingWindow) take(at time.Time) (bool, int, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.epoch.IsZero() {
		w.epoch = at
	}
	t := max(at.Sub(w.epoch), w.last) // handlers may come in another order than their requests
	w.last = t

	w.counted.forget(t, w.span)
	ok := w.counted.len < w.n
	if !ok && w.countRefused {
		w.counted.pop()
	}
	if ok || w.countRefused {
		w.counted.push(t)
	}
	return ok, w.n - w.counted.len, w.counted.front() + w.span - t
}
