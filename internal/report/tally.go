package report

import (
	"cmp"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/results"
)

// Outcome is what became of one attempt.
type Outcome int

const (
	Errored    Outcome = iota // any other answer, or none
	Accepted                  // the server took it
	Throttled                 // 429, or what else counts as too fast
	Overloaded                // 503, refused, reset
	TimedOut                  // 504, or our deadline
	Broken                    // the server failed: 500, 502, or no connection for a proxy or TLS
	Spoiled                   // the file changed or could not be read while it was sent, whatever the answer
)

const outcomes = 7

// Request is one attempt that ended.
type Request struct {
	Outcome Outcome
	Status  int           // HTTP status, 0 if no answer came
	Failure string        // then, why, in a few words of which there are not many: "connection refused"
	Latency time.Duration // from the token on until the answer was read
}

// Tally counts a run. Make one with NewTally. All methods are safe for
// concurrent use and take less than a microsecond; memory does not grow with
// the number of items.
type Tally struct {
	start time.Time

	// Three locks, for three kinds of events that come from all workers at
	// once and do not depend on each other.
	items struct {
		sync.Mutex
		byStatus  map[item.Fate]int64
		delivered int64 // bytes
		skipped   int64 // bytes
		lost      int64 // bytes of all other items that ended
		groups    groups
	}
	requests struct {
		sync.Mutex
		byOutcome [outcomes]int64
		byStatus  [1000]int64
		byFailure map[string]int64        // of those without an answer
		refused   int64                   // of those with one
		brokenOff int64                   // of those without one, because of their file
		latency   *hdrhistogram.Histogram // microseconds
		samples   int64
		sum, max  time.Duration
	}
	sent struct {
		sync.Mutex
		n           int64
		resent      int64 // of these, by net/http, when the connection was lost
		first, last int64 // nanoseconds since start
		window      window
	}
	held struct {
		sync.Mutex
		limit  progress.Limit
		since  time.Time
		waited map[progress.Limit]time.Duration
	}
}

// maxLatency is the longest latency that the histogram tells apart; a longer
// one counts as this in the percentiles. Mean and maximum are exact.
const maxLatency = time.Hour

// NewTally returns a Tally for a run that began at start.
func NewTally(start time.Time) *Tally {
	t := &Tally{start: start}
	t.items.byStatus = make(map[item.Fate]int64)
	t.requests.byFailure = make(map[string]int64)
	t.requests.latency = hdrhistogram.New(1, maxLatency.Microseconds(), 2)
	t.held.since = start
	t.held.waited = make(map[progress.Limit]time.Duration)
	return t
}

// Item counts an item that ended.
func (t *Tally) Item(it results.Result) {
	var key groupKey
	grouped := it.Status != item.Delivered && it.Status != item.Skipped
	if grouped {
		key = keyOf(&it)
	}
	i := &t.items
	i.Lock()
	defer i.Unlock()
	i.byStatus[it.Status]++
	switch it.Status {
	case item.Delivered:
		i.delivered += it.Bytes
	case item.Skipped:
		i.skipped += it.Bytes
	default:
		i.lost += it.Bytes
	}
	if grouped {
		i.groups.add(key, &it)
	}
}

// Request counts an attempt that ended.
//
// The latency counts if there was an answer, or if the attempt timed out: a
// slow server must not look fast because its slowest answers never came. A
// refused connection says nothing about latency.
func (t *Tally) Request(req Request) {
	r := &t.requests
	r.Lock()
	defer r.Unlock()
	if req.Outcome < 0 || req.Outcome >= outcomes {
		req.Outcome = Errored
	}
	r.byOutcome[req.Outcome]++
	if req.Status > 0 && req.Status < len(r.byStatus) {
		r.byStatus[req.Status]++
		switch req.Outcome {
		case Accepted, Errored, Spoiled:
		default:
			r.refused++
		}
	} else {
		r.byFailure[cmp.Or(req.Failure, cancelled)]++
		if req.Outcome == Spoiled {
			r.brokenOff++
		}
	}
	if req.Status == 0 && req.Outcome != TimedOut {
		return
	}
	latency := max(req.Latency, 0)
	r.samples++
	r.sum += latency
	r.max = max(r.max, latency)
	// Within the bounds it was made for, the histogram refuses nothing.
	_ = r.latency.RecordValue(min(latency, maxLatency).Microseconds())
}

// Sent counts a request that went on the wire, hidden resends of net/http
// included. The instant is that of its token, of which the rate is promised: on a
// machine that is busy the request may leave some milliseconds later, and the next
// one not.
func (t *Tally) Sent(at time.Time) {
	ns := int64(at.Sub(t.start))
	s := &t.sent
	s.Lock()
	defer s.Unlock()
	if s.n == 0 {
		s.first, s.last = ns, ns
	}
	s.n++
	s.first, s.last = min(s.first, ns), max(s.last, ns)
	s.window.add(ns)
}

// Resent is Sent for a request that net/http sends once more by itself. What it sent before gets no answer.
func (t *Tally) Resent(at time.Time) {
	t.Sent(at)
	t.sent.Lock()
	defer t.sent.Unlock()
	t.sent.resent++
}

// Unsent takes back a Sent: the request did not leave after all.
func (t *Tally) Unsent() {
	t.sent.Lock()
	defer t.sent.Unlock()
	t.sent.n--
}

// Hold says that from at on, limit is what holds the run back. Call it
// whenever that may have changed, or simply a few times a second.
func (t *Tally) Hold(limit progress.Limit, at time.Time) {
	h := &t.held
	h.Lock()
	defer h.Unlock()
	if d := at.Sub(h.since); d > 0 {
		h.waited[h.limit] += d
		h.since = at
	}
	h.limit = limit
}

// Snapshot returns the counts at an instant. Total, TotalBytes, KnownTotal,
// InFlight, Waiting, the limits, Pause and Holding are the caller's to set, the rates,
// ByBytes and ETA a Meter's.
func (t *Tally) Snapshot(at time.Time) progress.Snapshot {
	s := progress.Snapshot{Elapsed: at.Sub(t.start)}
	func() {
		i := &t.items
		i.Lock()
		defer i.Unlock()
		s.Delivered = i.byStatus[item.Delivered]
		s.Failed = i.byStatus[item.Failed]
		s.Unknown = i.byStatus[item.Unknown]
		s.Skipped = i.byStatus[item.Skipped]
		s.Deferred = i.byStatus[item.Deferred]
		s.Bytes, s.SkippedBytes, s.DeliveredBytes, s.LostBytes = i.delivered+i.skipped, i.skipped, i.delivered, i.lost
	}()
	t.requests.Lock()
	by := &t.requests.byOutcome
	s.Accepted, s.Refused = by[Accepted], by[Throttled]+by[Overloaded]+by[TimedOut]+by[Broken]
	t.requests.Unlock()
	t.sent.Lock()
	s.Sent = t.sent.n
	t.sent.Unlock()
	t.held.Lock()
	s.Limit = t.held.limit
	t.held.Unlock()
	return s
}
