package lab

import (
	"fmt"
	"net/http"
	"strconv"
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
	w := &window{
		n:          v.count("n", 1),
		span:       v.duration("window", time.Nanosecond),
		headers:    v.flag("headers"),
		retryAfter: v.flag("retry-after"),
	}
	counted := v.flag("count-refused")
	switch v.choice("kind", "fixed", "sliding") {
	case "fixed":
		w.quota = &fixedWindow{n: w.n, span: w.span}
	case "sliding":
		w.quota = &slidingWindow{n: w.n, span: w.span, countRefused: counted}
	}
	return w
}}

type window struct {
	n          int
	span       time.Duration
	headers    bool
	retryAfter bool
	quota      quota
}

// A quota counts requests. It returns whether the one at the instant t is
// accepted, how many more would be, and after how long there will be more.
type quota interface {
	take(t time.Time) (ok bool, left int, reset time.Duration)
}

func (w *window) serve(x *exchange) {
	ok, left, reset := w.quota.take(x.at)
	if w.headers {
		h := x.w.Header()
		h.Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, w.n, seconds(w.span)))
		h.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, left, seconds(reset)))
		h.Set("X-RateLimit-Limit", strconv.Itoa(w.n))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(left))
		// Not a Unix time as some servers send it: in tests on fake time, which
		// begins in the year 2000, that is not told from a delay.
		h.Set("X-RateLimit-Reset", strconv.Itoa(seconds(reset)))
	}
	switch {
	case ok:
		x.accept()
	case w.retryAfter:
		x.refuse(http.StatusTooManyRequests, seconds(reset))
	default:
		x.refuse(http.StatusTooManyRequests, -1)
	}
}

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
