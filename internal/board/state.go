// Package board shows what a run or a relay does while it goes on: its state as JSON, the last
// minutes of it, and one page for people.
//
// A [Board] shows the state of what goes on; a [Report], a run that is over. Neither counts
// anything or finds words of its own for why something waits: its [State] says that. A board
// computes nothing but a sample a second while nobody looks, and no reader can hold it up.
package board

import "time"

// A State is what a run or a relay does and waits for at an instant. It has no secrets. Counts are
// since the start and only grow; durations are in seconds.
type State struct {
	Command string    `json:"command"` // "send" or "relay"
	To      string    `json:"to,omitempty"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Now     time.Time `json:"now"`
	Ended   time.Time `json:"ended,omitzero"` // if zero, it goes on

	// Holding is why nothing more is sent now, in words. If empty, nothing holds it.
	Holding  string `json:"holding"`
	Paused   bool   `json:"paused"` // by a person
	Draining bool   `json:"draining"`

	Upstreams []Upstream `json:"upstreams"` // by name
	Items     *Items     `json:"items,omitempty"`
	Queue     *Queue     `json:"queue,omitempty"`
	Cache     *Cache     `json:"cache,omitempty"`
	Stored    *Stored    `json:"stored,omitempty"`
	Failures  []Failure  `json:"failures"` // the last, newest first
}

// An Upstream is one server that requests go to.
type Upstream struct {
	Name  string `json:"name"` // its origin, such as https://api.example.com
	Phase string `json:"phase"`

	Sent       int64 `json:"sent"`
	Accepted   int64 `json:"accepted"`
	Throttled  int64 `json:"throttled"`
	Overloaded int64 `json:"overloaded"`
	TimedOut   int64 `json:"timed_out"`
	Failed     int64 `json:"failed"`

	InFlight int     `json:"in_flight"`
	Waiting  int     `json:"waiting"`
	Latency  float64 `json:"latency_s"` // a fading mean; 0: nothing was accepted yet

	// Limits in force, given or found; 0: none.
	Rate          float64 `json:"rate"` // requests a second
	InFlightLimit int     `json:"in_flight_limit"`
	Found         bool    `json:"found"`  // one of the two was
	Trying        bool    `json:"trying"` // the rate, which has not proven itself yet

	Holding string `json:"holding"` // why nothing more goes to it now, in words
	Paused  bool   `json:"paused"`  // nothing goes to it
	Down    bool   `json:"down"`    // it is not paused, and gets one request at a time
	// Until is when a pause ends, or by when a server that is down is tried; zero if not known.
	Until time.Time `json:"until,omitzero"`

	// Waited is for how long each limit held requests back, by its name in the report.
	Waited map[string]float64 `json:"waited_s"`
}

// Refused returns how many requests were throttled, overloaded or timed out.
func (u *Upstream) Refused() int64 { return u.Throttled + u.Overloaded + u.TimedOut }

// Items are those of a run.
type Items struct {
	Total     int64   `json:"total"` // known of
	Known     bool    `json:"known"` // these are all
	Delivered int64   `json:"delivered"`
	Failed    int64   `json:"failed"`
	Unknown   int64   `json:"unknown"`
	Skipped   int64   `json:"skipped"`
	Deferred  int64   `json:"deferred"`
	Bytes     int64   `json:"bytes"`       // delivered, skipped or under way
	AllBytes  int64   `json:"total_bytes"` // of all; 0: not known
	Left      float64 `json:"left_s"`      // until the end; 0: not known
}

// A Queue is what waits in a relay.
type Queue struct {
	Requests int64    `json:"requests"` // of clients, since the start
	Answered int64    `json:"answered"`
	Refused  int64    `json:"refused"` // at once
	Failed   int64    `json:"failed"`  // with an answer of the relay's: 502, 503, 504
	Lost     int64    `json:"lost"`    // whose client went away before
	Stored   int64    `json:"stored"`  // to be delivered later
	Waiting  int      `json:"waiting"`
	Bytes    int64    `json:"bytes"`
	Oldest   float64  `json:"oldest_s"`
	Clients  []Client `json:"clients"` // those with most waiting
}

// A Client is one that has requests waiting.
type Client struct {
	Name    string  `json:"name"`
	Waiting int     `json:"waiting"`
	Oldest  float64 `json:"oldest_s"`
}

// A Cache is that of a relay.
type Cache struct {
	Hits   int64 `json:"hits"`
	Misses int64 `json:"misses"`
	Stale  int64 `json:"stale"` // given out while the server was down
	Bytes  int64 `json:"bytes"`
}

// Stored are the requests that a relay has accepted to deliver later.
type Stored struct {
	Waiting   int64   `json:"waiting"`
	Bytes     int64   `json:"bytes"`
	Oldest    float64 `json:"oldest_s"`
	InFlight  int     `json:"in_flight"`
	Delivered int64   `json:"delivered"` // of those still on record
	Failed    int64   `json:"failed"`
	Unknown   int64   `json:"unknown"`
}

// A Failure is an item or a request that came to nothing.
type Failure struct {
	At   time.Time `json:"at"`
	What string    `json:"what"` // a path, or a method and a path
	Why  string    `json:"why"`
}
