package quota

import (
	"encoding/json"
	"os"
	"strconv"
	"time"
)

const (
	beatEvery = time.Second            // to say how it is
	beatQuiet = 300 * time.Millisecond // after the last contact, or the others take it for silent
	beatSoon  = 250 * time.Millisecond // while the server is away, or more is wanted of it
	beatLeast = 50 * time.Millisecond  // between any two
)

// run keeps in contact until the quota is closed.
func (q *Quota) run() {
	var last time.Time // when the last beat began
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-q.nudge:
			last = earliest(last, time.Now().Add(beatLeast-beatEvery))
		case <-timer.C:
		}
		q.forward()
		if now := time.Now(); !now.Before(q.due(last)) {
			last = now
			q.beat()
			q.find()
		}
		next := time.Until(q.due(last))
		if q.Settings().InFlight > 0 { // to look meanwhile whether more is wanted
			next = min(next, beatLeast)
		}
		timer.Reset(max(next, time.Millisecond))
	}
}

// due returns when the next beat is, or the next look at what the upstreams want.
func (q *Quota) due(last time.Time) time.Time {
	hungry, limited := false, false
	for _, d := range q.demands() {
		q.mu.Lock()
		limited = limited || d.a.limited
		// More is wanted, or what was given back is not in use any more.
		hungry = hungry || d.a.limited && (d.want > d.a.may || d.held < d.a.held)
		q.mu.Unlock()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &q.mu.contact
	if hungry || !c.failing.IsZero() || !q.mu.pause.until.IsZero() || len(q.mu.left) > 0 {
		return last.Add(beatSoon)
	}
	due := earliest(last.Add(beatEvery), c.last.Add(beatQuiet))
	return latest(due, last.Add(beatLeast))
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// forward tells the others of a pause that was asked for.
func (q *Quota) forward() {
	q.mu.Lock()
	p := q.mu.pause
	q.mu.pause = pause{}
	q.mu.Unlock()
	if p.until.IsZero() || time.Until(p.until) <= 0 {
		return
	}
	if q.Pause(q.ctx, p.until, p.source) == nil {
		return
	}
	q.mu.Lock()
	if q.mu.pause.until.IsZero() { // else a newer one came
		q.mu.pause = p
	}
	q.mu.Unlock()
}

// word is what a process says of itself, for State.
type word struct {
	Host     string `json:"host"`
	PID      int    `json:"pid"`
	Started  int64  `json:"started"` // Unix time
	Down     string `json:"down"`
	Granted  int64  `json:"granted"`
	Sent     int64  `json:"sent"`
	Waiting  int    `json:"waiting"`
	InFlight int    `json:"in_flight"`
	May      int    `json:"may"`
}

// catchUp tells the server what it could not be told before: what the options say, and permits
// that are not needed any more.
func (q *Quota) catchUp() {
	q.mu.Lock()
	unsettled, left := q.mu.unsettled, q.mu.left
	q.mu.left = nil
	q.mu.Unlock()
	if unsettled {
		_, err := q.call(q.ctx, openScript, "", q.options.Settings.args()...)
		q.mu.Lock()
		q.mu.unsettled = err != nil
		q.mu.Unlock()
		if err == nil {
			q.differs()
		}
	}
	if len(left) > 0 && q.client.HDel(q.ctx, q.target.keys[keyPermits], left...).Err() != nil {
		q.mu.Lock()
		q.mu.left = append(q.mu.left, left...)
		q.mu.Unlock()
	}
}

// beat says how this process is, and renews its part of what may be in flight.
func (q *Quota) beat() {
	q.catchUp()
	ds := q.demands()
	w := word{
		Host: q.options.Host, PID: os.Getpid(), Started: q.started.Unix(),
		Down: q.options.Down.String(),
	}
	q.beats++
	args := []any{q.beats, nil}
	for _, d := range ds {
		w.Sent += d.stats.Sent
		w.Waiting += d.stats.Wanted
		w.InFlight += d.stats.InFlight
		args = append(args, d.a.name, d.want, d.held)
	}
	q.mu.Lock()
	w.Granted = q.mu.granted
	for _, d := range ds {
		w.May += d.a.may
	}
	q.mu.Unlock()
	text, err := json.Marshal(w)
	if err != nil {
		return
	}
	args[1] = text
	sent := time.Now()
	a, err := q.call(q.ctx, beatScript, q.id, args...)
	if err != nil {
		if q.options.Down == Stop {
			q.allot(ds, make([]int, len(ds)), sent)
		}
		return
	}
	may := make([]int, len(ds))
	for i := range may {
		if i >= len(a.values) {
			return
		}
		if may[i], err = strconv.Atoi(a.values[i]); err != nil {
			return
		}
	}
	q.allot(ds, may, sent)
}
