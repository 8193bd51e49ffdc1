package relay

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/problem"
	"github.com/penstock/penstock/internal/status"
)

// Stats are what a [Relay] has done, and what it does now.
type Stats struct {
	Requests int64 `json:"requests"` // of clients
	Answered int64 `json:"answered"` // with an answer of the target's, or a stored one
	Cached   int64 `json:"cached"`   // of these, stored ones
	Failed   int64 `json:"failed"`   // answered with a problem of the relay's: 502, 503, 504
	Refused  int64 `json:"refused"`  // at once, as nonsense or because too many wait
	Lost     int64 `json:"lost"`     // whose client went away before
	Stored   int64 `json:"stored"`   // to be sent later

	// Of stored requests, also of those that an earlier relay has left.
	StoredDelivered int64 `json:"stored_delivered"`
	StoredFailed    int64 `json:"stored_failed"` // or unknown

	Stopping int64 `json:"refused_stopping"` // of those that were refused, since the relay stops
	Late     int64 `json:"refused_late"`     // of these, as they would have waited for too long

	Sent      int64 `json:"sent"`      // requests to targets, those that were repeated included
	Repeated  int64 `json:"repeated"`  // of these, again
	Throttled int64 `json:"throttled"` // of these, refused since they came too fast
	// Troubles are what became of those that were not accepted for another reason than the request
	// itself, in words, such as "throttled (429)" or "not answered (connection refused)".
	Troubles map[string]int64 `json:"troubles"`

	Active   int     `json:"active"`         // requests of clients that have no answer yet
	Waiting  int     `json:"waiting"`        // of these, for their turn
	Clients  int     `json:"clients"`        // that these are of
	Oldest   float64 `json:"oldest_seconds"` // how long the first of them has waited, in seconds
	InFlight int     `json:"in_flight"`      // requests at targets

	StoreWaiting int64 `json:"store_waiting"` // stored requests that were not delivered yet
	StoreFailed  int64 `json:"store_failed"`  // stored requests that have failed or are unknown

	Holding string        `json:"holding"` // what holds requests back, in words
	Uptime  time.Duration `json:"-"`
}

// A tally counts. Its methods may be called concurrently.
type tally struct {
	mu sync.Mutex
	s  Stats

	first, last time.Time // since spell: a request, and an answer
}

func (t *tally) count(n *int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Requests++
	t.s.Active++
	if t.first.IsZero() {
		t.first = time.Now()
	}
}

func (t *tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Active--
}

func (t *tally) answer() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Answered++
	t.last = time.Now()
}

// spell returns how long it took from the first request to the last answer since it was called
// last, or until now if some have no answer yet.
func (t *tally) spell(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	first, last := t.first, t.last
	t.first = time.Time{}
	if t.s.Active > 0 {
		t.first, last = now, now
	}
	if first.IsZero() {
		return 0
	}
	return max(last.Sub(first), 0)
}

func (t *tally) fail()   { t.count(&t.s.Failed) }
func (t *tally) lose()   { t.count(&t.s.Lost) }
func (t *tally) store()  { t.count(&t.s.Stored) }
func (t *tally) send()   { t.count(&t.s.Sent) }
func (t *tally) repeat() { t.count(&t.s.Repeated) }

// ended counts a stored request that has ended.
func (t *tally) ended(s outbox.State) {
	if s == outbox.Delivered {
		t.count(&t.s.StoredDelivered)
	} else {
		t.count(&t.s.StoredFailed)
	}
}

// refuse counts a request that is answered by p at once.
func (t *tally) refuse(p *problem.Document) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Refused++
	switch {
	case p.Detail == status.RelayStopping:
		t.s.Stopping++
	case p.Status == http.StatusServiceUnavailable:
		t.s.Late++
	}
}

// trouble counts a request to a target that was not accepted.
func (t *tally) trouble(was outcome.Attempt, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if was == outcome.Throttled {
		t.s.Throttled++
	}
	if t.s.Troubles == nil {
		t.s.Troubles = map[string]int64{}
	}
	t.s.Troubles[what]++
}

func (t *tally) stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.s
	s.Troubles = maps.Clone(s.Troubles)
	return s
}
