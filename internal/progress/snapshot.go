package progress

import (
	"encoding/json"
	"math"
	"time"

	"github.com/penstock/penstock/internal/human"
)

// Snapshot is the state of a run at an instant. Tally.Snapshot makes it, the caller adds what it
// knows, a Meter completes it.
type Snapshot struct {
	Total int64 // items known of
	// KnownTotal is false while the source may still yield items.
	KnownTotal bool

	// Items that ended, by how.
	Delivered, Failed, Unknown, Skipped, Deferred int64

	Bytes          int64 // of the items delivered, skipped or, as far as they are known, under way
	SkippedBytes   int64 // of these, of items that were skipped
	DeliveredBytes int64 // the others of these
	LostBytes      int64 // of the items that ended otherwise, however many of these were sent
	TotalBytes     int64 // of all items known of; 0 if sizes are not known
	Largest        int64 // of these, that of the largest; 0 if it is not known

	Sent, Accepted    int64 // requests on the wire, and of these
	Refused           int64 // throttled, overloaded or timed out
	InFlight, Waiting int
	Peak              int           // the most in flight since the last snapshot
	Latency           time.Duration // of accepted requests, lately; 0 if there were none

	Ceiling       float64 // requests a second that are allowed at present; 0: any
	InFlightLimit int     // requests in flight that are; 0: any
	Learned       Learned // of these, what the user did not give
	Limit         Limit   // what holds the run back
	Adaptive      bool    // how many may be in flight is found out, not given
	Growing       bool    // it is, and the server has neither slowed down nor refused yet
	Stopping      bool    // nothing new is sent any more
	Silent        bool    // that is a server that does not answer, and is not known to be down
	// Pause is how long the cool-down that is in force still lasts; 0 if there is none.
	Pause time.Duration
	// Holding is Limit in words: "held by your --rps 4", "paused 12 s: Retry-After".
	Holding string

	Underway []Underway // of the large files that are on their way, the largest first

	Elapsed time.Duration

	Rate           float64       // requests a second, over the last seconds
	FilesPerSecond float64       // that ended, over the last seconds
	BytesPerSecond float64       // over the last seconds
	ByBytes        bool          // the time goes with the bytes, and not with the files
	ETA            time.Duration // time left; 0 if that is unknown or nothing is left
}

// Underway is a file that is being sent.
type Underway struct {
	Name       string
	Done, Size int64 // bytes
}

// Ended returns how many items have ended, in whatever way.
func (s *Snapshot) Ended() int64 {
	return s.Delivered + s.Failed + s.Unknown + s.Skipped + s.Deferred
}

// finished counts the items that need nothing more. Those that are deferred do.
func (s *Snapshot) finished() int64 { return s.Ended() - s.Deferred }

// progress is how much of what is done, in bytes or files, whichever the time goes with.
func (s *Snapshot) progress() (done, total int64) {
	if s.ByBytes {
		return s.Bytes, s.TotalBytes
	}
	return s.finished(), s.Total
}

// learned is what was learned and matters now: where nothing holds the run back, how many are in
// flight is no limit.
func (s *Snapshot) learned() Learned {
	l := s.Learned
	if s.Limit == NoLimit {
		l.InFlight = 0
	}
	return l
}

// stopped reports whether nothing can be sent at all at present.
func (s *Snapshot) stopped() bool { return s.Limit == LimitCoolDown || s.Limit == LimitDown }

// isDown reports whether the server is known to be down. One that is only silent is not.
func (s *Snapshot) isDown() bool { return s.Limit == LimitDown && !s.Silent }

// Limit is what can hold a run back. The values are the keys of the report's waited_seconds;
// NoLimit is the zero value.
type Limit string

const (
	NoLimit          Limit = ""
	LimitRate        Limit = "rate"
	LimitConcurrency Limit = "concurrency"
	LimitBandwidth   Limit = "bandwidth"
	LimitCoolDown    Limit = "cool_down" // nothing is sent until an instant
	LimitBackoff     Limit = "backoff"   // all work left waits for its next attempt
	LimitDown        Limit = "down"      // the server is down
	LimitQuota       Limit = "quota"     // what other processes leave of a quota that is shared
)

// Learned is the pace that a server was found to take, except what the user gave.
type Learned struct {
	Rate     Optional `json:"rate"` // requests a second
	InFlight Optional `json:"in_flight"`

	// Trying is set if the rate is in force, and the server has not shown yet that it takes it.
	Trying bool `json:"-"`
}

// String returns it for people, such as "learned 9.8 req/s, 5 in flight" or "trying 9.8 req/s"; ""
// if nothing was learned.
func (l Learned) String() string {
	rate, learned, trying := "", "", ""
	if l.Rate > 0 {
		rate = human.Rate(float64(l.Rate))
	}
	if l.Trying && rate != "" {
		rate, trying = "", "trying "+rate
	}
	if learned = human.Join(", ", rate, human.Some(int(l.InFlight), "in flight")); learned != "" {
		learned = "learned " + learned
	}
	return human.Join(", ", learned, trying)
}

// Optional is a number whose zero means that there is none; in JSON, null.
type Optional float64

// MarshalJSON writes null for zero, and for what JSON has no number for.
func (o Optional) MarshalJSON() ([]byte, error) {
	f := float64(o)
	if f == 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		return []byte("null"), nil
	}
	return json.Marshal(f)
}

// Round rounds to so many digits after the point: what is beyond them is noise in a report.
func Round(f float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(f*p) / p
}
