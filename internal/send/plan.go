package send

import (
	"slices"
	"time"

	"github.com/penstock/penstock/internal/journal"
)

// Left is what a journal leaves to be sent.
type Left struct {
	Items, Bytes int64
	Skipped      int64    // delivered, or left out by --only
	Unknown      int64    // not sent again without leave
	First        []string // paths and URLs of the first ten, as people may see them
}

// Plan looks what a run would send, going by the journal and changing nothing.
func (o Options) Plan(r *journal.Reader) (left Left, err error) {
	type fate struct { // of a million rows all that matters
		journal.Fingerprint
		State journal.State
		Last  time.Time
	}
	rows := make(map[uint64]fate)
	for row, err := range r.Items() {
		if err != nil {
			return left, err
		}
		rows[row.ID] = fate{row.Fingerprint, row.State, row.Last}
	}
	asked := !o.Again.IsZero() || o.ResendUnknown || o.Verify
	for it, err := range o.Source.Items() {
		if err != nil {
			continue // it is told when its turn comes
		}
		row := rows[identityOf(it).id()]
		f := fingerprintOf(it)
		same := row.Size == f.Size && row.ModTime.Equal(f.ModTime) && row.Place == f.Place
		doubt := row.State == journal.Unknown || row.State == journal.InFlight && !idempotent(it.Method) && o.Idempotency.Header == ""
		switch {
		case len(o.Only) > 0 && !slices.Contains(o.Only, row.State),
			row.State == journal.Delivered && same && (o.Again.IsZero() || row.Last.UnixMilli() >= o.Again.UnixMilli()):
			left.Skipped++
			continue
		case doubt && same && !asked:
			left.Unknown++
			continue
		}
		left.Items++
		left.Bytes += it.Size
		if len(left.First) < 10 {
			left.First = append(left.First, it.Path+" -> "+shownURL(it.URL))
		}
	}
	return left, nil
}
