package model

import (
	"sync"
	"time"
)

// fixedWindow starts again with each multiple of its span on the wall clock. What a refused request
// would count is forgotten with the rest.
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

// slidingWindow has quota where fewer than n of the requests that count are younger than its span.
type slidingWindow struct {
	n            int
	span         time.Duration
	countRefused bool

	mu      sync.Mutex // protects all below
	epoch   time.Time  // the first request
	last    time.Duration
	counted []time.Duration // at most n: older ones decide nothing
}

func (w *slidingWindow) take(at time.Time) (bool, int, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.epoch.IsZero() {
		w.epoch = at
	}
	t := max(at.Sub(w.epoch), w.last) // handlers may come in another order than their requests
	w.last = t

	for len(w.counted) > 0 && t-w.counted[0] >= w.span {
		w.counted = w.counted[1:]
	}
	ok := len(w.counted) < w.n
	if !ok && w.countRefused {
		w.counted = w.counted[1:]
	}
	if ok || w.countRefused {
		w.counted = append(w.counted, t)
	}
	return ok, w.n - len(w.counted), w.counted[0] + w.span - t
}
