package quota

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// A State is what the server knows of a quota.
type State struct {
	Name        string
	Settings    Settings  // in force
	Given       Settings  // what processes gave, where people have not set something else
	Paused      time.Time // when the pause in force ends; if zero, there is none
	PauseSource string
	Hosts       []Host
	Server      string // its version, if it says
}

// A Host is a process that takes part.
type Host struct {
	Name     string
	PID      int
	Started  time.Time
	Heard    time.Duration // how long ago
	Silent   bool          // for so long that its share is kept for it, and used by nobody else
	Down     string        // what it does while the server is away
	Granted  int64         // slots, since it started
	Sent     int64
	Waiting  int // requests
	InFlight int
	May      int // how many it may have in flight, where that is limited
}

// State asks the server. A quota that is not in use and has no settings is empty.
func (q *Quota) State(ctx context.Context) (State, error) {
	a, err := q.call(ctx, showScript, "")
	if err != nil {
		return State{}, err
	}
	q.mu.Lock()
	s := State{
		Name: q.Name(), Settings: a.settings, Given: a.given, Paused: a.pause.until,
		PauseSource: a.pause.source, Server: q.mu.contact.version,
	}
	q.mu.Unlock()
	for i := 0; i+2 < len(a.values); i += 3 {
		heard, err := strconv.ParseInt(a.values[i+1], 10, 64)
		if err != nil {
			return State{}, fmt.Errorf("the script returned %.20q as a length", a.values[i+1])
		}
		var w word // empty if it has not said yet
		_ = json.Unmarshal([]byte(a.values[i+2]), &w)
		s.Hosts = append(s.Hosts, Host{
			Name: cmp.Or(w.Host, a.values[i]), PID: w.PID, Started: time.Unix(w.Started, 0),
			Heard: micros(heard), Silent: micros(heard) > silent, Down: w.Down,
			Granted: w.Granted, Sent: w.Sent, Waiting: w.Waiting, InFlight: w.InFlight, May: w.May,
		})
	}
	return s, nil
}

// Changes are new settings. Those that are nil stay as they are.
type Changes struct {
	Rate     *rate.Limit
	Burst    *int
	InFlight *int
}

// args returns the changes as the script takes them.
func (c Changes) args() []any {
	args := []any{"", "", ""}
	if c.Rate != nil {
		args[0] = strconv.FormatFloat(float64(*c.Rate), 'g', -1, 64)
	}
	if c.Burst != nil {
		args[1] = *c.Burst
	}
	if c.InFlight != nil {
		args[2] = *c.InFlight
	}
	return args
}

// A Part is what this process knows of the quota without asking.
type Part struct {
	Settings   Settings
	Hosts      int  // that take part, this one included
	Down       bool // the server cannot be reached, and this process goes on by itself
	Err        error
	RoundTrips int64 // to the server, so far
	Granted    int64 // slots, so far
}

// Part returns what this process knows.
func (q *Quota) Part() Part {
	q.mu.Lock()
	defer q.mu.Unlock()
	v, c := &q.mu.view, &q.mu.contact
	return Part{v.settings, v.hosts, c.down, c.err, q.mu.roundTrips, q.mu.granted}
}
