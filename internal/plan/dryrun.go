package plan

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
)

// Left is what a run would do.
type Left struct {
	Items, Bytes int64                   // to be sent
	Asked        int64                   // of Items, those that the server is asked about first
	Skipped      map[resume.Reason]int64 // by what earlier runs or other items have done
	Unknown      int64                   // not sent again unless the user says so
	Held         int64                   // their servers asked for a longer wait than MaxWait
	Failed       int64                   // cannot be sent
	// paths and URLs of the first to be sent, as shown to people
	First []string
	// Type is the media type of the body of the first of these, and Body are its lines, as shown to
	// people; empty if that is its file alone.
	Type     string
	Body     []string
	Failures []string // the first that cannot be, with the reasons

	// Waits are those that servers of Items asked for in earlier runs, and that are not over, by
	// origin.
	Waits []journal.Wait
}

// Plan says what a run would do, by the same decisions, and changes nothing. If v is nil, the run
// has no journal. No more than most items are listed.
func (w *Work) Plan(v *journal.View, most int) (left Left, err error) {
	var waits map[string]journal.Wait
	if v != nil {
		waits = w.Recall(v)
	}
	if w.Found.Partial { // standard input names files: they are left to its reader, the run
		left = Left{Items: w.Found.Items, Bytes: w.Found.Bytes, First: w.Found.URLs}
		if asked, ok := waits[nethttp.OriginOf(w.To)]; ok {
			left.Waits = []journal.Wait{asked}
		}
		return left, nil
	}
	left.Skipped = make(map[resume.Reason]int64)
	fail := func(path string, why string) {
		if left.Failed++; len(left.Failures) < most {
			left.Failures = append(left.Failures, path+": "+why)
		}
	}
	now := time.Now()
	named := map[string]bool{} // origins with a wait
	urls := w.Found.URLs       // of the first items that can be sent, as people may see them
	for it, err := range w.Source.Items() {
		var failed *source.ItemError
		switch {
		case errors.As(err, &failed):
			fail(failed.Item.Path, status.Plain(failed.Err))
			continue
		case err != nil:
			return left, err
		}
		url := conceal.URL(it.URL)
		if len(urls) > 0 {
			url, urls = urls[0], urls[1:]
		}
		var d resume.Decision
		if v != nil {
			if d, err = w.Claim(v, resume.IdentityOf(it), it, now); err != nil {
				return left, err
			}
		}
		bad := nethttp.CheckMethod(it.Method)
		switch {
		case d.Do == resume.Skip:
			left.Skipped[d.Why]++
			continue
		case d.Do == resume.Leave:
			left.Unknown++
			continue
		case d.Do == resume.Fail:
			fail(it.Path, status.Left(d.Why, it.Header))
			continue
		case bad != nil:
			fail(it.Path, status.Plain(bad))
			continue
		case d.Arrived && onlyTouched(it, d.Sent):
			left.Skipped[resume.Arrived]++
			continue
		}
		if len(waits) > 0 {
			origin := nethttp.OriginOf(it.URL)
			wait, ok := waits[origin]
			if ok && !named[origin] {
				named[origin] = true
				left.Waits = append(left.Waits, wait)
			}
			if ok && !w.WaitsUntil(wait.Until, now) {
				left.Held++
				continue
			}
		}
		if d.Do == resume.Ask {
			left.Asked++
		}
		left.Items++
		left.Bytes += it.Size
		if left.Items == 1 {
			left.Type, left.Body = shownBody(&it)
		}
		if len(left.First) < most {
			left.First = append(left.First, it.Path+" -> "+url)
		}
	}
	slices.SortFunc(left.Waits, func(a, b journal.Wait) int {
		return strings.Compare(a.Origin, b.Origin)
	})
	return left, nil
}

// shownBody returns what the body of an item is, without what may be secret, and not all of a long
// one.
func shownBody(it *item.Item) (contentType string, lines []string) {
	const mostLines, mostBytes = 20, 300
	contentType, fields, text := compose.Show(it)
	for _, field := range fields {
		lines = append(lines, conceal.Field(field))
	}
	if contentType != "" && fields == nil {
		lines = strings.Split(strings.TrimRight(conceal.Body(text), "\n"), "\n")
	}
	if more := len(lines) - mostLines; more > 0 {
		lines = append(lines[:mostLines], "… and "+human.Count(more)+" more")
	}
	for i, line := range lines {
		if len(line) > mostBytes {
			lines[i] = human.Cut(line, mostBytes) + "…"
		}
	}
	return contentType, lines
}

// onlyTouched reports whether an item's file has the content that was delivered.
func onlyTouched(it item.Item, delivered []byte) bool {
	ctx := context.Background()
	sum, err := digest.SHA256(ctx, func() (io.ReadCloser, error) { return it.Open(ctx) })
	return err == nil && bytes.Equal(delivered, sum[:])
}
