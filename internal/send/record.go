package send

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/status"
)

// announce notes that a job's request is about to leave.
func (r *run) announce(ctx context.Context, j *job) error {
	j.Left(time.Now())
	past := j.Past()
	if past.Doubt &&
		r.Idempotency.Forgotten(j.item.Method, past.First, r.LastRun, time.Now()) {
		return resume.ErrKeyForgotten
	}
	if r.Journal == nil {
		return nil
	}
	if j.slot == nil {
		var err error
		if j.slot, err = r.unsettled.Acquire(ctx); err != nil {
			return err
		}
	}
	if err := r.Journal.Err(); err != nil {
		return status.JournalFailed(err)
	}
	// What the journal has as delivered must not be skipped as such once the server may have
	// another content.
	if j.IsNoted() || r.Harmless(j.item.Method) && !past.Older {
		return nil
	}
	if err := r.Journal.Begin(ctx, r.row(j, item.InFlight)); err != nil {
		return status.NotNoted(err)
	}
	j.Noted()
	// otherwise a job that was cancelled meanwhile would seem to be in doubt
	return context.Cause(ctx)
}

// withdraw records that a job waits for its next attempt: if none before may have been processed,
// it is in flight no more.
func (r *run) withdraw(j *job) {
	j.settled()
	if j.Refused() {
		r.Journal.Put(r.row(j, item.Deferred), nil)
	}
}

// fewestUnsettled may always be on their way to the server or, accepted, to the disk. With fewer,
// small files would wait for the journal, which commits up to 128 at once.
const fewestUnsettled = 256

// row is what the journal keeps of a job.
func (r *run) row(j *job, state item.Fate) journal.Item {
	past := j.Past()
	if state == item.Deferred {
		state = past.Deferred()
	}
	row := journal.Item{
		ID: j.id.ID(), Method: j.item.Method, Path: j.item.Path, Rel: j.item.Rel,
		URL: conceal.URL(r.url(j)), Key: past.Key, KeyMade: past.Key != "",
		Fingerprint: resume.FingerprintOf(j.item), Digest: j.body.SHA256(),
		State: state, Doubt: past.Doubt, Older: past.Older && state != item.Delivered,
		Attempts: past.Attempts + j.tries, First: past.First, Last: time.Now(),
	}
	if given := j.item.Key; given != "" {
		row.Key, row.KeyMade, row.KeyUnsent = given, false, past.Key == ""
		if past.Key != given {
			row.KeyMore = past.Key
		}
	}
	return row
}

// unchanged is the row of a job that turns out to be what earlier runs have delivered.
func (r *run) unchanged(j *job) journal.Item {
	row, past := r.row(j, item.Delivered), j.Past().Receipt
	row.Captured, row.Last = past.Captured, past.At
	return row
}

// record puts the end of an item into the journal, and has it reported when that is on disk.
func (r *run) record(j *job, out results.Result) {
	if r.Journal == nil || j.kept || j.id == (resume.Identity{}) || out.Status == item.Skipped {
		if out.Status == item.Failed {
			r.unnoted.Add(1)
		}
		j.settled()
		r.report(j, out)
		return
	}
	row := r.row(j, out.Status)
	row.HTTPStatus, row.Error, row.Last = out.HTTPStatus, out.Error, out.Time
	row.Captured = out.Captured
	r.Journal.Put(row, func(err error) {
		j.settled()
		if err != nil && out.Status == item.Delivered {
			out.Status, out.Error = item.Unknown, status.NotKept
			out.DeliveredAt = time.Time{}
		}
		r.report(j, out)
	})
}

// done records and reports how an item ended.
func (r *run) done(j *job, out results.Result) {
	it, key := j.item, j.Past().Key
	out.Line, out.Path, out.Rel, out.Method = it.Line, it.Path, it.Rel, it.Method
	out.Bytes = it.Size
	out.Key, out.KeyMade = cmp.Or(it.Key, key), key != "" && it.Key == ""
	if out.Time = time.Now(); out.Status == item.Delivered && out.Captured != "" {
		out.DeliveredAt = out.Time
	}
	out.Error = r.hide(it, out.Error)
	if j.WasFound() {
		r.asked.found.Add(1)
	}
	if j.WasAbsent(j.tries) {
		r.asked.absent.Add(1)
	}
	// else nobody reads it
	if r.Results != nil || out.Status != item.Delivered && out.Status != item.Skipped {
		out.URL = conceal.URL(r.url(j))
	}
	r.ended(j, out)
	r.record(j, out)
}

// report reports how an item ended. It is called when nothing can change that any more.
func (r *run) report(j *job, out results.Result) {
	if j.watched {
		r.uploads.End(j, func() { r.tally.Item(out) })
	} else {
		r.tally.Item(out)
	}
	if r.Publish != nil && (out.Status == item.Failed || out.Status == item.Unknown) {
		r.failures.Add(board.Failure{At: out.Time, What: out.Path,
			Why: out.Status.String() + ": " + out.Error})
	}
	if r.Results != nil {
		if err := r.Results.Write(out); err != nil {
			r.noResults(err)
		}
	}
	if out.Status != item.Delivered && out.Status != item.Skipped && r.ending.Cause() == nil {
		r.Log.Debug(fmt.Sprintf("%s: %s: %s", out.Path, out.Status, out.Error))
	}
}
