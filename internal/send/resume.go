package send

import (
	"fmt"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/verify"
)

const inDoubt = "it may have arrived in an earlier run"

// claim makes a job of an item and reports whether it is to be sent. Where earlier
// runs have settled that, the item is reported.
func (r *run) claim(it item.Item) (*job, bool) {
	j := &job{item: it, salt: r.Again}
	if r.Journal != nil || r.Idempotency.Header != "" {
		j.id = identityOf(it)
	}
	if r.Journal == nil {
		return j, true
	}
	id := j.id.id()
	c := r.Journal.Claim(id, fingerprintOf(it))
	d, out, err := r.decide(j, c, func() (journal.Item, error) { return r.Journal.Load(id) }, r.Journal.Earlier().Last)
	switch {
	case err != nil:
		r.end(exit.Local, err)
		return nil, false
	case d == toSend:
		return j, true
	case d == toAsk:
		if c.State == item.InFlight {
			j.ended = r.start // at the latest: nobody noted when its run was killed
		}
		if time.Since(j.ended) < r.verifier.Settle { // it may still be at work on it
			j.out = out
			r.putOff(j)
			return nil, false
		}
		return j, true
	case d == had:
		if r.Verify && verify.OwnURL(it, r.shared()) {
			r.verifier.Delivered(it, func() http.Header { return r.askHeader(it) })
		}
		r.before++
	case d == unasked:
		r.unasked++
	}
	r.done(j, out)
	return nil, false
}

// describeJournal says where the journal is and what earlier runs have left there. If the last run was killed, and nothing that is
// sent is noted there before it leaves, it says that such files are sent again.
func (o *Options) describeJournal(now time.Time) string {
	e, path := o.Journal.Earlier(), o.Journal.Path()
	if e.Runs == 0 {
		return "journal " + path + ": new"
	}
	text := fmt.Sprintf("journal %s continues: %s", path, e.Counts)
	ended := "last run ended"
	if e.Killed {
		ended = "last run was cut off"
	}
	text += "; " + ended + " " + human.When(e.Last, now)
	// They are not noted then. Lines of a manifest may have another method.
	if e.Killed && e.Counts[item.InFlight] == 0 && len(o.Only) == 0 && !o.Source.OwnURLs() && o.harmless(o.Source.Method()) {
		text += ", and files that were in flight are sent again"
	}
	return text
}

// resumed returns notes about what earlier runs have done of this one's work.
func (r *run) resumed() (notes []string) {
	if r.before > 0 {
		e := r.Journal.Earlier()
		notes = append(notes, fmt.Sprintf("%s skipped: delivered earlier (last run %s) and not changed since; --again sends them again",
			human.Count(r.before), human.When(e.Last, time.Now())))
	}
	if r.unasked > 0 {
		notes = append(notes, human.Count(r.unasked)+" skipped: not asked for by --only")
	}
	if found, absent := r.asked.found.Load(), r.asked.absent.Load(); found+absent > 0 {
		note := "--verify: of the files in doubt the server had " + human.Count(found)
		switch {
		case absent == 1:
			note += "; 1 was sent again, since it did not have it"
		case absent > 1:
			note += fmt.Sprintf("; %s were sent again, since it did not have them", human.Count(absent))
		}
		notes = append(notes, note)
	}
	return notes
}
