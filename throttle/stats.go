package throttle

import (
	"encoding/json"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// UpstreamStats is a snapshot of an [Upstream]. Its JSON is its own: a struct that is to have other
// fields in JSON must have it as a named field, not embed it.
type UpstreamStats struct {
	Limits  Limits
	Holding Holding // the limit that holds callers back now

	// What is in force, be it given or found, and why it last changed: "growing" if more is being
	// tried after a refusal, "quota" if the server states it.
	Limit   int        // requests in flight; [math.MaxInt], which JSON leaves out: no limit
	Rate    rate.Limit // requests a second; [rate.Inf], which JSON leaves out: no limit
	Learned bool       // one of the two was found
	Phase   Phase
	Reason  string    // for people to read
	Changed time.Time // when the phase did
	// PhaseDown and PhaseHoldingBack: when the next may go; if zero, one is on its way
	Probe time.Time `json:",omitzero"`

	Waiting     int   // callers that wait for a permit or a token
	Wanted      int   `json:"-"` // requests that these would send: one may wait for many
	InFlight    int   // requests from their token on until their permit's end
	MaxInFlight int   // the most of them at any time
	Sent        int64 // attempts let go, those that net/http repeats by itself included

	// How requests ended, by the feedback given.
	Succeeded, Throttled, Overloaded, TimedOut, Failed int64

	// Unreported counts the permits that ended by [Permit.Release], or with a [Feedback] without a
	// Signal. If all do, Limit stays at 1 where it is to be found.
	Unreported int64

	// Latency is a fading mean of the latency of successes, in which the last one counts an eighth;
	// if zero, there was none.
	Latency time.Duration

	// BytesPerSecond is how many body bytes a second the server has acknowledged in the last second
	// or two, of all transfers whose progress is known; see [Permit.Progress]. If none is under
	// way, 0.
	BytesPerSecond float64

	// Unclaimed is [BucketStats.Unclaimed]: while it grows, more callers would make use of more of
	// the rate.
	Unclaimed int64

	Paused      time.Time `json:",omitzero"` // when the cool-down in force ends; if zero, none
	PauseSource string    // who asked for it, such as "retry-after"

	// Waited is how long each limit was the one that held callers back. The times add up to at most
	// the time since [NewUpstream].
	Waited Waited
}

// Stats returns a snapshot.
func (u *Upstream) Stats() UpstreamStats {
	bucket := u.line.stats()
	holding, waited := u.waits.snapshot()
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	c, room := u.mu.controller.State(now), u.mu.controller.Orders(now).Room
	s := UpstreamStats{
		Limits:         u.mu.limits,
		Holding:        holding,
		Limit:          room,
		Rate:           validRate(rate.Limit(c.Rate)),
		Learned:        c.Learned,
		Phase:          Phase(c.Phase),
		Reason:         c.Reason,
		Changed:        c.Changed,
		Probe:          c.Probe,
		Waiting:        bucket.Waiting,
		Wanted:         u.line.wanted(),
		InFlight:       u.mu.controller.Places(),
		MaxInFlight:    u.mu.maxInFlight,
		Sent:           u.mu.sent,
		Succeeded:      u.mu.ended[SignalSuccess],
		Throttled:      u.mu.ended[SignalThrottled],
		Overloaded:     u.mu.ended[SignalOverloaded],
		TimedOut:       u.mu.ended[SignalTimedOut],
		Failed:         u.mu.ended[SignalFailed],
		Unreported:     u.mu.ended[0],
		Latency:        c.Latency,
		BytesPerSecond: c.BytesPerSecond,
		Unclaimed:      bucket.Unclaimed,
		Waited:         waited,
	}
	if told := u.mu.told; told.reason == growing && s.Phase == told.phase &&
		s.Limit >= told.limit && s.Rate >= told.rate { // else it was lowered since
		s.Reason = growing
	}
	s.Paused, s.PauseSource = u.line.pausedUntil()
	return s
}

// limited returns nil if r is no limit: as a number that would be the largest float64.
func limited(r rate.Limit) *rate.Limit {
	if r == rate.Inf {
		return nil
	}
	return &r
}

// MarshalJSON leaves Rate out if there is no limit.
func (s BucketStats) MarshalJSON() ([]byte, error) {
	type plain BucketStats
	return json.Marshal(struct {
		Rate *rate.Limit `json:",omitempty"`
		plain
	}{limited(s.Rate), plain(s)})
}

// MarshalJSON leaves Limit and Rate out if there is no limit.
func (s UpstreamStats) MarshalJSON() ([]byte, error) {
	type plain UpstreamStats
	limit := &s.Limit
	if s.Limit == math.MaxInt {
		limit = nil
	}
	return json.Marshal(struct {
		Limit *int        `json:",omitempty"`
		Rate  *rate.Limit `json:",omitempty"`
		plain
	}{limit, limited(s.Rate), plain(s)})
}

// UnmarshalJSON reads what MarshalJSON writes: without Rate there is no limit.
func (s *BucketStats) UnmarshalJSON(data []byte) error {
	type plain BucketStats
	p := plain{Rate: rate.Inf}
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	*s = BucketStats(p)
	return nil
}

// UnmarshalJSON reads what MarshalJSON writes: without Limit or Rate there is no such limit.
func (s *UpstreamStats) UnmarshalJSON(data []byte) error {
	type plain UpstreamStats
	p := plain{Limit: math.MaxInt, Rate: rate.Inf}
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	*s = UpstreamStats(p)
	return nil
}
