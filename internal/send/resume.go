package send

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/status"
)

// claim makes a job of an item and reports whether it is to be sent. Where earlier
// runs have settled that, the item is reported.
func (r *run) claim(it item.Item) (*job, bool) {
	j := &job{item: it}
	j.KeyEpoch = r.Again
	if r.Journal != nil || r.Idempotency.Header != "" {
		j.id = resume.IdentityOf(it)
	}
	if r.Journal == nil {
		return j, true
	}
	d, err := r.Rules.Claim(r.Journal, j.id, it, time.Now())
	if err != nil {
		r.end(exit.Local, err)
		return nil, false
	}
	j.Past, j.kept, j.ask = d.Past, d.Kept, d.Do == resume.Ask
	out := results.Result{HTTPStatus: d.HTTPStatus}
	switch d.Do {
	case resume.Send:
		return j, true
	case resume.Ask:
		if d.Why == resume.CutOff {
			j.Ended = r.start // at the latest: nobody noted when its run was killed
		}
		if time.Since(j.Ended) < r.verifier.Settle { // it may still be at work on it
			out.Status, out.Error = item.Unknown, status.LeftInDoubt
			j.out = out
			r.putOff(j)
			return nil, false
		}
		return j, true
	case resume.Skip:
		if r.skipped[d.Why]++; d.Why == resume.Arrived && r.CanAsk(it) {
			r.verifier.Delivered(it, func() http.Header { return r.askHeader(it) })
		}
		out.Status, out.Note = item.Skipped, status.Left(d.Why, nil)
	case resume.Fail:
		out.Status, out.Error = item.Failed, status.Left(d.Why, it.Header)
	case resume.Leave:
		out.Status, out.Error = item.Unknown, status.Left(d.Why, nil)
	}
	r.done(j, out)
	return nil, false
}

// describeJournal says where the journal is and what earlier runs have left there.
func (o *Options) describeJournal(now time.Time) string {
	// What is in flight is not noted then. Lines of a manifest may have another method.
	e := o.Journal.Earlier()
	resent := e.Counts[item.InFlight] == 0 && len(o.Only) == 0 && !o.Source.OwnURLs() &&
		o.harmless(o.Source.Method())
	return status.Journal(o.Journal.Path(), e, resent, now)
}
