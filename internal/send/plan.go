package send

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
)

// Left is what a run would do.
type Left struct {
	Items, Bytes int64    // to be sent
	Asked        int64    // of Items, those that the server is asked about first
	Delivered    int64    // by an earlier run
	Unasked      int64    // left out by --only
	Repeated     int64    // the same as another item
	Unknown      int64    // not sent again without leave
	Held         int64    // their servers asked for a longer wait than the run has patience for
	Failed       int64    // cannot be sent
	First        []string // paths and URLs of the first to be sent, as people may see them
	Failures     []string // the first that cannot be, with the reasons

	Waits []journal.Wait // that servers of Items asked for in earlier runs, and that are not over, by origin
}

// Plan says what a run would do, by the same decisions, and changes nothing. If remembers is false, the run
// has no journal; r is nil if it has none yet. No more than most items are listed.
func (o Options) Plan(r *journal.Reader, remembers bool, most int) (left Left, err error) {
	if o.Found.Partial {
		return o.planPartial(r)
	}
	past, err := readPast(r)
	now := time.Now()
	if err != nil {
		return left, err
	}
	fail := func(path string, why error) {
		if left.Failed++; len(left.Failures) < most {
			left.Failures = append(left.Failures, path+": "+status.Plain(why))
		}
	}
	named := map[string]bool{} // origins with a wait
	urls := o.Found.URLs       // of the first items that can be sent, as people may see them
	for it, err := range o.Source.Items() {
		var failed *source.ItemError
		switch {
		case errors.As(err, &failed):
			fail(failed.Item.Path, failed.Err)
			continue
		case err != nil:
			return left, err
		}
		url := secret.URL(it.URL)
		if len(urls) > 0 {
			url, urls = urls[0], urls[1:]
		}
		j := &job{item: it, salt: o.Again}
		d, out := toSend, results.Result{}
		if remembers {
			j.id = identityOf(it)
			c, row := past.claim(j.id.id(), fingerprintOf(it))
			if d, out, err = o.decide(j, c, func() (journal.Item, error) { return row, nil }, past.last); err != nil {
				return left, err
			}
		}
		err = nethttp.CheckMethod(it.Method)
		switch {
		case d == unasked:
			left.Unasked++
			continue
		case d == repeated:
			left.Repeated++
			continue
		case d == had, d == toSend && err == nil && onlyTouched(j):
			left.Delivered++
			continue
		case d == inTheAir:
			left.Unknown++
			continue
		case d == mistaken:
			fail(it.Path, errors.New(out.Error))
			continue
		case err != nil:
			fail(it.Path, err)
			continue
		}
		if len(past.waits) > 0 {
			origin := nethttp.OriginOf(it.URL)
			wait, ok := past.waits[origin]
			if ok && !named[origin] {
				named[origin] = true
				left.Waits = append(left.Waits, wait)
			}
			if ok && !o.waitsUntil(wait.Until, now) {
				left.Held++
				continue
			}
		}
		if d == toAsk {
			left.Asked++
		}
		left.Items++
		left.Bytes += it.Size
		if len(left.First) < most {
			left.First = append(left.First, it.Path+" -> "+url)
		}
	}
	slices.SortFunc(left.Waits, func(a, b journal.Wait) int { return strings.Compare(a.Origin, b.Origin) })
	return left, nil
}

// planPartial is Plan where standard input names files: they are left to its reader, the run.
func (o Options) planPartial(r *journal.Reader) (left Left, err error) {
	left = Left{Items: o.Found.Items, Bytes: o.Found.Bytes, First: o.Found.URLs}
	if r == nil {
		return left, nil
	}
	waits, err := r.Waits()
	for _, w := range waits {
		if w.Origin == nethttp.OriginOf(o.To) {
			left.Waits = append(left.Waits, w)
		}
	}
	return left, err
}

// A past is what a journal has, as far as decisions need it.
type past struct {
	rows    map[uint64]pastRow
	claimed map[uint64]bool
	last    time.Time // when the last run ended
	waits   map[string]journal.Wait
}

// A pastRow is kept of each item: of most of a million there is no more to know.
type pastRow struct {
	journal.Fingerprint
	state item.Fate
	last  time.Time
	rest  *journal.Item // if nil, delivered, and of a content that is not known
}

func readPast(r *journal.Reader) (p past, err error) {
	p.rows, p.claimed = make(map[uint64]pastRow), make(map[uint64]bool)
	if r == nil {
		return p, nil
	}
	for row, err := range r.Items() {
		if err != nil {
			return p, err
		}
		kept := pastRow{row.Fingerprint, row.State, row.Last, nil}
		if row.State != item.Delivered || row.Digest != nil {
			row.Path, row.Rel, row.URL, row.Error = "", "", "", ""
			kept.rest = &row
		}
		p.rows[row.ID] = kept
	}
	runs, err := r.Earlier()
	if err != nil {
		return p, err
	}
	p.last = runs.Last
	waits, err := r.Waits()
	p.waits = make(map[string]journal.Wait)
	for _, w := range waits {
		p.waits[w.Origin] = w
	}
	return p, err
}

// claim is Journal.Claim and Journal.Load.
func (p *past) claim(id uint64, f journal.Fingerprint) (c journal.Claim, row journal.Item) {
	kept := p.rows[id]
	c = journal.Claim{State: kept.state, Twice: p.claimed[id]}
	c.Same = c.State != item.None && kept.Size == f.Size && kept.ModTime.Equal(f.ModTime) && kept.Place == f.Place
	p.claimed[id] = true
	if kept.rest != nil {
		return c, *kept.rest
	}
	return c, journal.Item{Fingerprint: kept.Fingerprint, State: kept.state, Last: kept.last}
}

// onlyTouched reports whether the job's file has the content that was delivered.
func onlyTouched(j *job) bool {
	if j.delivered == nil {
		return false
	}
	ctx := context.Background()
	sum, err := digest.SHA256(ctx, func() (io.ReadCloser, error) { return j.item.Open(ctx) })
	return err == nil && bytes.Equal(j.delivered, sum[:])
}
