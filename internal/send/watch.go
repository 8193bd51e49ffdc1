package send

import (
	"errors"
	"math"
	"time"

	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/wire"
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
	look := func(ended bool) {
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
		if r.Publish != nil {
			r.publish(&s, now, ended)
		}
		r.last = s
	}
	for {
		select {
		case <-finished:
			look(true)
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
			look(false)
		}
	}
}

// publish passes on what the run does.
func (r *run) publish(s *progress.Snapshot, now time.Time, ended bool) {
	state := status.Run(r.To, r.start, now, s, &r.servers)
	state.Failures = r.failures.List()
	if ended {
		state.Ended = now
	}
	r.Publish(state)
}

// notice logs what is said once about a server.
func (r *run) notice(now time.Time) {
	for _, n := range r.servers.Notices(now, r.leftovers) {
		r.Log.Info(status.Notice(n))
	}
}

// facts is what the run does and waits for.
func (r *run) facts(v upstream.Overview, uploads []wire.Upload, now time.Time) status.Facts {
	f := status.Facts{
		Overview: v, Now: now, Given: r.Limits, Workers: r.Workers, Underway: uploads,
		Queued: r.pool.Stats().Queued, Reading: r.Found.Reads, Leftovers: r.leftovers(v),
		Unread: r.Results != nil && r.Results.IsAwaited(), Heard: r.servers.Heard(),
		Settling: r.later.Settling(),
	}
	if r.Quota != nil {
		f.Quota = status.QuotaPart(r.Quota.Name(), r.Quota.Part())
	}
	if why := errors.Unwrap(r.ending.Cause()); why != nil {
		f.Ending = r.words(why)
	}
	f.Total, f.Whole = r.items()
	f.GivesUpAt = r.servers.GivesUpAt(now)
	f.Fallen, f.Because = r.uploads.Fallen(now)
	f.Backoff, f.Changing, _ = r.workers.Counts()
	return f
}

// leftovers reports whether all that is left was refused by a server that has accepted something,
// and answers.
func (r *run) leftovers(v upstream.Overview) bool {
	accepted, queued := r.servers.HasAccepted(), r.pool.Stats().Queued
	backoff, _, retried := r.workers.Counts()
	return upstream.IsStatus(v.Trouble) && r.whole.Load() && accepted && queued == 0 &&
		retried > 0 && retried >= v.Waiting+v.InFlight+backoff
}

// items is how many there are as far as that is known, and whether these are all.
func (r *run) items() (n int64, whole bool) {
	whole = r.whole.Load() // first: none is read after it
	return max(r.Found.Items, r.read.Load()), whole
}

// snapshot is the state of the run for the progress.
func (r *run) snapshot(v upstream.Overview, now time.Time) (s progress.Snapshot) {
	uploads, bytes := r.uploads.List(func() { s = r.tally.Snapshot(now) })
	s.Bytes, s.DeliveredBytes = s.Bytes+bytes, s.DeliveredBytes+bytes
	s.TotalBytes, s.Largest = r.Found.Bytes, r.Found.Largest
	facts := r.facts(v, uploads, now)
	facts.Show(&s)
	s.Peak = r.servers.Peak()
	r.tally.Hold(s.Limit, now)
	return s
}

// grow adds workers to the pool where there is work for them.
func (r *run) grow(v upstream.Overview) {
	refusing, further := r.servers.IsRefusing()
	if n := r.workers.Grow(r.pool.Stats().Queued, v, refusing, further); n > 0 {
		r.pool.Resize(n)
	}
}
