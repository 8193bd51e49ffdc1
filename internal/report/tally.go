package report

import (
	"cmp"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/results"
)

// Request is one attempt that ended.
type Request struct {
	Outcome outcome.Attempt
	Status  int           // HTTP status, 0 if no answer came
	Failure string        // then, why, in a few words: "connection refused"
	Latency time.Duration // from the token on until the answer was read
}

// Tally counts a run. Make one with NewTally. All methods are safe for concurrent use and take less
// than a microsecond; memory does not grow with the number of items.
type Tally struct {
	start time.Time

	mu sync.Mutex // protects what follows

	items     map[item.Fate]int64
	delivered int64       // bytes
	skipped   int64       // bytes
	lost      int64       // bytes of all other items that ended
	refusals  map[int]int // items that this run had refused, by the status of the last answer
	groups    groups

	outcomes  [outcome.Spoiled + 1]int64
	statuses  map[int]int64
	failures  map[string]int64        // of requests without an answer
	refused   int64                   // of those with one
	brokenOff int64                   // of those without one, because of their file
	latency   *hdrhistogram.Histogram // microseconds
	samples   int64
	sum, max  time.Duration

	sent        int64
	resent      int64 // of these, by net/http, when the connection was lost
	first, last int64 // nanoseconds since start
	window      window

	limit  progress.Limit
	since  time.Time
	waited map[progress.Limit]time.Duration
}

// maxLatency is the longest latency that the histogram distinguishes; a longer one counts as this
// in the percentiles. Mean and maximum are exact.
const maxLatency = time.Hour

// NewTally returns a Tally for a run that began at start.
func NewTally(start time.Time) *Tally {
	return &Tally{
		start: start, since: start, items: make(map[item.Fate]int64), refusals: make(map[int]int),
		statuses: make(map[int]int64), failures: make(map[string]int64),
		latency: hdrhistogram.New(1, maxLatency.Microseconds(), 2),
		waited:  make(map[progress.Limit]time.Duration),
	}
}

// Item counts an item that ended.
func (t *Tally) Item(it results.Result) {
	var key groupKey
	grouped := it.Status != item.Delivered && it.Status != item.Skipped
	if grouped {
		key = keyOf(&it)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.items[it.Status]++
	if it.Status == item.Failed && it.Attempts > 0 {
		t.refusals[it.HTTPStatus]++
	}
	switch {
	case grouped:
		t.lost += it.Bytes
		t.groups.add(key, &it)
	case it.Status == item.Delivered:
		t.delivered += it.Bytes
	default:
		t.skipped += it.Bytes
	}
}

// Request counts an attempt that ended.
//
// The latency counts if there was an answer, or if the attempt timed out: a slow server must not
// look fast because its slowest answers never came. A refused connection says nothing about
// latency.
func (t *Tally) Request(req Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if req.Outcome < 0 || int(req.Outcome) >= len(t.outcomes) {
		req.Outcome = outcome.Errored
	}
	t.outcomes[req.Outcome]++
	if req.Status > 0 && req.Status < 1000 {
		t.statuses[req.Status]++
		switch req.Outcome {
		case outcome.Accepted, outcome.Errored, outcome.Spoiled:
		default:
			t.refused++
		}
	} else {
		t.failures[cmp.Or(req.Failure, cancelled)]++
		if req.Outcome == outcome.Spoiled {
			t.brokenOff++
		}
	}
	if req.Status == 0 && req.Outcome != outcome.TimedOut {
		return
	}
	latency := max(req.Latency, 0)
	t.samples++
	t.sum += latency
	t.max = max(t.max, latency)
	// Within the bounds it was made for, the histogram refuses nothing.
	_ = t.latency.RecordValue(min(latency, maxLatency).Microseconds())
}

// Sent counts a request that went on the wire, hidden resends of net/http included. The instant is
// that of its token, of which the rate is promised: on a machine that is busy the request may leave
// some milliseconds later, and the next one not.
func (t *Tally) Sent(at time.Time) { t.countSent(at, 0) }

// Resent is Sent for a request that net/http sends once more by itself. What it sent before gets no
// answer.
func (t *Tally) Resent(at time.Time) { t.countSent(at, 1) }

func (t *Tally) countSent(at time.Time, resent int64) {
	ns := int64(at.Sub(t.start))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sent == 0 {
		t.first, t.last = ns, ns
	}
	t.sent++
	t.resent += resent
	t.first, t.last = min(t.first, ns), max(t.last, ns)
	t.window.add(ns)
}

// Unsent takes back a Sent: the request did not leave after all.
func (t *Tally) Unsent() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent--
}

// Hold records that from at on, limit is what holds the run back. Call it whenever that may have
// changed, or simply a few times a second.
func (t *Tally) Hold(limit progress.Limit, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := at.Sub(t.since); d > 0 {
		t.waited[t.limit] += d
		t.since = at
	}
	t.limit = limit
}

// Snapshot returns the counts at an instant. Total, TotalBytes, KnownTotal, InFlight, Waiting, the
// limits, Pause and Holding are the caller's to set, the rates, ByBytes and ETA a Meter's.
func (t *Tally) Snapshot(at time.Time) progress.Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	by := &t.outcomes
	return progress.Snapshot{
		Elapsed:   at.Sub(t.start),
		Delivered: t.items[item.Delivered], Failed: t.items[item.Failed],
		Unknown: t.items[item.Unknown], Skipped: t.items[item.Skipped],
		Deferred: t.items[item.Deferred],
		Bytes:    t.delivered + t.skipped, SkippedBytes: t.skipped, DeliveredBytes: t.delivered,
		LostBytes: t.lost,
		Sent:      t.sent, Accepted: by[outcome.Accepted],
		Refused: by[outcome.Throttled] + by[outcome.Overloaded] + by[outcome.TimedOut] +
			by[outcome.Broken],
		Limit: t.limit,
	}
}
