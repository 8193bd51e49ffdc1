package relay

import (
	"time"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
)

// A telling is what people have been told. It is for watch alone.
type telling struct {
	waiting  time.Time
	due      time.Time // a line of the traffic is; if zero, there is none
	first    bool      // it is the first since there was none
	answered int64
	recent   [10]int64 // answers at the last looks, the oldest first
	broken   bool      // the store
}

// pace records how many answers there are, and returns how many a second there were lately, since
// there are any.
func (t *telling) pace(answered int64) float64 {
	before := t.recent
	copy(t.recent[:], before[1:])
	t.recent[len(t.recent)-1] = answered
	if answered == before[0] {
		return 0
	}
	idle := 0
	for t.recent[idle] == before[0] {
		idle++
	}
	took := time.Duration(len(before)-idle) * look
	return float64(answered-before[0]) / took.Seconds()
}

// noLeftovers says that more may come at any time.
func noLeftovers(upstream.Overview) bool { return false }

// watch says what has changed. It is for one goroutine.
func (r *Relay) watch(now time.Time) {
	r.view.looking.Lock()
	facts := r.facts(now)
	notices := r.servers.Notices(now, noLeftovers)
	r.view.looking.Unlock()
	s := r.Stats(now)
	for _, n := range notices {
		if n.Rate == 0 || s.Active > 0 { // else it is no news of what goes on
			r.Log.Info(status.Notice(n))
		}
	}
	r.watchStore()
	_, s.Holding = facts.Holding()
	switch {
	case r.JSON:
		r.line(now, s)
		return
	case r.Show != nil:
		r.show(s, facts, r.told.pace(s.Answered))
		return
	}
	if wait := time.Duration(s.Oldest * float64(time.Second)); wait >= queue &&
		now.Sub(r.told.waiting) >= tell {
		r.told.waiting = now
		r.Log.Info(status.RelayQueue(s.Waiting, s.Clients, wait, s.Holding))
	}
	r.tellTraffic(now, s, status.Learned(facts.Learned).String())
}

// watchStore says when the store cannot be written, and when it can be again.
func (r *Relay) watchStore() {
	if r.Store == nil {
		return
	}
	switch err := r.Store.Err(); {
	case err != nil && !r.told.broken:
		r.told.broken = true
		r.Log.Warn(status.StoreBroken(err))
	case err == nil && r.told.broken:
		r.told.broken = false
		r.Log.Info(status.StoreWorks)
	}
}

// show shows the state.
func (r *Relay) show(s Stats, facts *status.Facts, perSecond float64) {
	shown := progress.Snapshot{Delivered: s.Answered, FilesPerSecond: perSecond,
		InFlight: s.InFlight, Waiting: s.Waiting, Learned: status.Learned(facts.Learned)}
	shown.Limit, shown.Holding = facts.Holding()
	r.Show(shown)
}

// showEnd shows the state while the relay stops.
func (r *Relay) showEnd(now time.Time) {
	if r.Show == nil || r.JSON {
		return
	}
	r.view.looking.Lock()
	facts := r.facts(now)
	r.view.looking.Unlock()
	r.show(r.Stats(now), facts, 0)
}

// tellTraffic says what was relayed, soon after traffic has begun, and then each 30 s.
func (r *Relay) tellTraffic(now time.Time, s Stats, learned string) {
	n, told := s.Answered-r.told.answered, &r.told
	switch idle := n == 0 && s.Active == 0; {
	case told.due.IsZero() && idle:
		return
	case told.due.IsZero():
		told.due, told.first = now.Add(firstTell), true
		return
	case now.Before(told.due):
		return
	case idle:
		told.due = time.Time{}
		return
	}
	took := r.tally.spell(now)
	if n > 0 || told.first { // of what only waits there are other lines
		r.Log.Info(status.RelayTraffic(n, took, s.Waiting, s.InFlight, learned, s.Holding))
	}
	told.due, told.first, told.answered = now.Add(tell), false, s.Answered
}
