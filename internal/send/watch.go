package send

import (
	"errors"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

// watch attends to the run until it is finished: growth, giving up, progress.
func (r *run) watch(finished <-chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var deadline <-chan time.Time
	if r.MaxDuration > 0 {
		timer := time.NewTimer(r.MaxDuration)
		defer timer.Stop()
		deadline = timer.C
	}
	var broken, unwritten <-chan struct{}
	if r.Journal != nil {
		broken = r.Journal.Failed()
	}
	if r.Results != nil {
		unwritten = r.Results.Failed()
	}
	var meter progress.Meter
	look := func() {
		now := time.Now()
		v := r.servers.Overview(r.Limits.InFlight)
		r.notice(now)
		r.grow(v)
		if broken != nil {
			r.unsettled.SetLimit(max(fewestUnsettled, v.Room))
		}
		r.giveUp(now)
		s := r.snapshot(v, now)
		meter.Measure(&s)
		r.timeline.Add(&s)
		r.Progress.Update(s)
		r.last = s
	}
	for {
		select {
		case <-finished:
			look()
			return
		case <-deadline:
			r.end(stop.MaxDuration{Limit: r.MaxDuration})
			deadline = nil
		case <-broken:
			r.end(stop.JournalFailed{Err: r.Journal.Err()})
			r.unsettled.SetLimit(math.MaxInt32) // the callers that wait have to learn of it
			broken = nil
		case <-unwritten:
			r.noResults(r.Results.Err())
			unwritten = nil
		case <-ticker.C:
			look()
		}
	}
}

// notice logs what is said once about a server.
func (r *run) notice(now time.Time) {
	for _, n := range r.servers.Notices(now, r.leftovers) {
		r.Log.Info(status.Notice(n))
	}
}

// facts is what the run does and waits for.
func (r *run) facts(v upstream.Overview, now time.Time) status.Facts {
	f := status.Facts{
		Overview: v, Now: now, Given: r.Limits, Workers: r.Workers,
		Queued: r.pool.Stats().Queued, Reading: r.Found.Partial,
		Leftovers: r.leftovers(v), Unread: r.unread.Load(),
	}
	if why := errors.Unwrap(r.ending.Cause()); why != nil {
		f.Ending = r.words(why)
	}
	f.Total, _ = r.items()
	f.GivesUpAt, f.GivesUp = r.servers.GivesUpAt(now)
	if until := r.settling.Load(); until != nil {
		f.Settling = *until
	}
	uploads, moving := r.uploads.List(nil)
	f.Underway = underway(uploads)
	f.Fallen, f.Because = r.restart.last(now)
	heard := r.servers.Heard()
	if quiet := now.Sub(heard); !heard.IsZero() && v.InFlight > 0 && moving == 0 &&
		quiet >= max(upstream.Silence, 2*v.Latency) {
		f.Quiet = quiet
	}
	f.Backoff, f.Changing, _ = r.workers.counts()
	r.mu.Lock()
	defer r.mu.Unlock()
	f.Whole = r.whole
	return f
}

// leftovers reports whether all that is left was refused by a server that has accepted something,
// and answers.
func (r *run) leftovers(v upstream.Overview) bool {
	accepted, queued := r.servers.HasAccepted(), r.pool.Stats().Queued
	backoff, _, retried := r.workers.counts()
	r.mu.Lock()
	defer r.mu.Unlock()
	return upstream.IsStatus(v.Trouble) && r.whole && accepted && queued == 0 &&
		retried > 0 && retried >= v.Waiting+v.InFlight+backoff
}

// items is how many there are, as far as that is known.
func (r *run) items() (n int64, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.Found.Items, r.read), r.whole || !r.Found.Partial
}

// snapshot is the state of the run for the progress.
func (r *run) snapshot(v upstream.Overview, now time.Time) progress.Snapshot {
	facts := r.facts(v, now)
	limit, words := facts.Holding()
	r.tally.Hold(limit, now)
	var s progress.Snapshot
	uploads, bytes := r.uploads.List(func() { s = r.tally.Snapshot(now) })
	s.Underway, s.Bytes, s.DeliveredBytes = underway(uploads), s.Bytes+bytes, s.DeliveredBytes+bytes
	s.Total, s.KnownTotal = r.items()
	s.TotalBytes, s.Largest = r.Found.Bytes, r.Found.Largest
	s.Latency = v.Latency
	s.Adaptive = r.Limits.InFlight == 0
	s.Growing = s.Adaptive && v.Phase == throttle.PhaseStarting
	s.Stopping = r.ending.Cause() != nil
	s.InFlight, s.Waiting = v.InFlight, v.Waiting
	s.Silent = facts.Quiet > 0
	if v.Rate != rate.Inf {
		s.Ceiling = float64(v.Rate)
	}
	if v.Limit < math.MaxInt32 {
		s.InFlightLimit = v.Limit
	}
	if v.Name == "" {
		// of one among several servers it would be taken for the pace of all
		s.Learned = learned(v.Learned)
	}
	s.Holding = words
	if limit == progress.LimitCoolDown {
		s.Pause = v.Paused.Sub(now)
	}
	return s
}

// learned is what was found of a server's pace, for the report.
func learned(l upstream.Learned) progress.Learned {
	return progress.Learned{Rate: progress.Optional(l.Rate),
		InFlight: progress.Optional(l.InFlight), Trying: l.Trying}
}

// fillLearned fills in what was learned: of the only server, or of each of several.
func (r *run) fillLearned(s *report.Summary) {
	servers := r.servers.ByAccepted()
	for _, each := range servers {
		switch l := learned(each.Learned()); {
		case len(servers) == 1:
			s.Learned = l
		case l != progress.Learned{}:
			s.LearnedByServer = append(s.LearnedByServer,
				report.ServerLearned{Server: each.Key, Learned: l})
		}
	}
}

// grow adds workers to the pool where there is work for them.
func (r *run) grow(v upstream.Overview) {
	refusing, further := r.servers.IsRefusing()
	if n := r.workers.grow(r.pool.Stats().Queued, v, refusing, further); n > 0 {
		r.pool.Resize(n)
	}
}
