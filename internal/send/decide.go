package send

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/verify"
)

// A decision is what a run does with an item, going by what the journal has of it.
type decision uint8

const (
	toSend   decision = iota
	toAsk             // the server is asked whether it has the item, and it is sent if that is said to be safe
	had               // skipped: delivered earlier
	unasked           // skipped: --only leaves it out
	repeated          // skipped: it is another item of this run once more
	mistaken          // failed: it cannot be told from another item of this run
	inTheAir          // unknown: it may have arrived, and is not sent again without leave
)

// decide says what the run does with a job, and fills in what the journal knows of it. If the job is neither
// sent nor asked about, out is how it ends. The row is asked for only where it matters; last is when the run
// before ended. Nothing but the job is changed: a dry run decides by the same function.
func (o *Options) decide(j *job, c journal.Claim, row func() (journal.Item, error), last time.Time) (d decision, out results.Result, err error) {
	it := &j.item
	switch {
	case c.Twice && (it.Header != nil || strings.ContainsAny(it.URL, "?@")):
		j.kept = true // what the journal has by that name is the other's
		return mistaken, results.Result{Status: item.Failed, Error: "duplicate of another item of this run (" + notCounted(it.Header) + " do not count): leave one out, or give each a key of its own"}, nil
	case c.Twice:
		return repeated, skipped("the same file goes to the same URL as another item of this run"), nil
	case len(o.Only) > 0 && !slices.Contains(o.Only, c.State):
		return unasked, skipped("not asked for by --only"), nil
	case c.State == item.None:
		return toSend, out, nil
	case c.State == item.Delivered && c.Same && o.Again.IsZero():
		return had, skipped("delivered earlier"), nil
	}
	known, err := row()
	if err != nil {
		return 0, out, err
	}
	j.earlier = known.Attempts
	if c.State == item.Failed && c.Same {
		j.failedBy = known.HTTPStatus
	}
	unsettled := c.State == item.InFlight || c.State == item.Unknown
	j.older = known.Older || !c.Same && (known.Doubt || unsettled || c.State == item.Delivered)
	if c.State == item.Delivered {
		switch {
		case c.Same && known.Last.UnixMilli() >= o.Again.UnixMilli():
			return had, skipped("delivered earlier"), nil
		case !c.Same && o.Digest && known.Size == it.Size && o.Again.IsZero() && (headerOf(*it) == nil || known.Place == fingerprintOf(*it).Place):
			j.delivered = known.Digest // perhaps it was only touched, or moved; of a line with headers these may have changed
		}
		return toSend, out, nil
	}
	// With another date it is another content, unless it is not safe to be wrong about that.
	if !c.Same && !(unsettled && known.Size == it.Size && !o.repeatable(it.Method)) {
		return toSend, out, nil
	}
	j.first, j.doubt = known.First, known.Doubt || unsettled
	again := known.Last.UnixMilli() < o.Again.UnixMilli() // else it is this series of runs that is in doubt
	switch {
	case again:
	case j.doubt || c.State != item.Failed:
		j.key = known.Key
	default:
		j.salt = known.Last // a server may replay also its refusals
	}
	asked := again || o.ResendUnknown || slices.Contains(o.Only, item.Unknown)
	asks := o.Verify && verify.OwnURL(*it, o.shared()) && !again
	old := o.tooOld(j, last)
	switch {
	case !j.doubt:
		return toSend, out, nil
	case asked && !asks:
		j.first = time.Time{} // whatever its key is worth; that it may be there already stays so
		return toSend, out, nil
	case c.State != item.Unknown && o.repeatable(it.Method) && !old:
		return toSend, out, nil
	case asks:
		j.ask, j.resend, j.ended = true, asked, later(known.Last, last)
		return toAsk, results.Result{Status: item.Unknown, HTTPStatus: known.HTTPStatus, Error: inDoubt}, nil
	}
	why := inDoubt
	if c.State == item.InFlight {
		why += ", which ended while it was sent"
	}
	if o.repeatable(it.Method) && old {
		why = errKeyTooOld.Error()
	}
	j.kept = c.State == item.Unknown
	return inTheAir, results.Result{Status: item.Unknown, HTTPStatus: known.HTTPStatus, Error: why}, nil
}

// notCounted names what may differ between two items that are the same.
func notCounted(h http.Header) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if isLeftOut(name, h[name]) {
			names = append(names, name)
		}
	}
	switch text := "credentials in the URL"; len(names) {
	case 0:
		return text
	case 1:
		return text + " and the header " + names[0]
	default:
		return text + " and the headers " + strings.Join(names, ", ")
	}
}

func skipped(why string) results.Result { return results.Result{Status: item.Skipped, Note: why} }

// shared reports whether all items may go to one URL.
func (o *Options) shared() bool { return !strings.Contains(o.To, "{") }
