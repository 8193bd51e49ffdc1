package source

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/penstock/penstock/internal/item"
)

const (
	maxShown    = 10 // URLs that a Summary shows at least
	maxFailures = 20 // as many as fit a screen
)

// Summary is what Scan found.
type Summary struct {
	Items   int64
	Bytes   int64 // of the files; requests are larger with multipart/form-data
	Largest int64 // of the files, the bytes of the largest
	LeftOut LeftOut
	// the first Options.ShownURLs, fit to be shown: without credentials, the query's literal values
	// masked
	URLs    []string
	Partial bool   // Reads will name more
	Reads   string // stdin or a stream, for people; "" if neither
	Stream  bool   // a stream will

	// Of Items, those that cannot be sent; Items yields them as errors. Failures are the first
	// twenty.
	Failed   int64
	Failures []*ItemError
	// Warnings are about what is probably a mistake, one a line.
	Warnings []string

	// Items of each of the shards, if there are any; not of those that stdin or a stream will name.
	Shards []int64

	// Of Options.From, the lines that were asked for and match no item; not counted where Partial.
	Unmatched int64
	// The last line of the results was cut off, and was passed over.
	Torn bool
}

// Scan makes every item once, except those that stdin or a stream will name, without opening any
// but the manifest and results. What cannot be sent, such as a file that is missing, a directory
// that cannot be read, or a glob that matches nothing, is counted, and left to Items. Scan returns
// an error where nothing at all can be sent, and for what needs the user first: lines of the
// manifest that are wrong, all at once as a [*LinesError], a file of the run itself that is to be
// sent, and two items that would both PUT (or do anything but POST and PATCH) to one URL or that
// have one key. A file that vanishes during the scan is no error, nor is one that results name and
// that is gone. When ctx ends, Scan returns its cause.
//
// It needs about 9 bytes of memory for each item whose URL could be another's too, and up to 16 MiB
// to remember files, unless there are too many, so that Items need not look for them again.
func (s *Source) Scan(ctx context.Context) (Summary, error) {
	var sum Summary
	var failed error
	f := new(found)
	f.over = s.opts.Manifest != "" // whose items have more than a file has
	seen := new(hashList)
	unique := s.newUniqueness(seen.add)
	p := &iteration{ctx: ctx, noStdin: true, scan: true, onLeftOut: s.opts.OnLeftOut}
	p.division = s.newDivision(func(it item.Item) { unique.taken(it) })
	p.yield = func(it item.Item, err error) bool {
		var later *deferredError
		var itemErr *ItemError
		switch {
		case err == nil:
			unique.taken(it)
		case errors.Is(err, errVanished):
			return true
		case errors.As(err, &later):
			err = nil
		case errors.As(err, &itemErr):
			sum.Failed++
			sum.Items++
			if f.over = true; len(sum.Failures) < maxFailures {
				sum.Failures = append(sum.Failures, itemErr)
			}
			return true
		}
		failed = err
		f.add(it)
		sum.Items++
		sum.Bytes += it.Size
		sum.Largest = max(sum.Largest, it.Size)
		return err == nil
	}
	s.each(p)
	sum.Partial = slices.ContainsFunc(s.roots, func(r root) bool { return r.stdin })
	switch {
	case failed != nil:
	case len(p.bad.Errs) > 0:
		failed = p.bad.orNil()
	case sum.Failed > 0 && sum.Failed == sum.Items && !sum.Partial:
		failed = sum.Failures[0]
		if s.opts.Manifest != "" { // its lines are reported together, as those that are wrong
			none := LinesError{More: int(sum.Failed) - len(sum.Failures)}
			for _, err := range sum.Failures {
				none.Errs = append(none.Errs, err)
			}
			failed = none.orNil()
		}
	}
	if failed == nil {
		failed = s.twice(ctx, unique, seen.twice())
	}
	if failed != nil {
		return Summary{}, failed
	}
	if sum.Partial {
		sum.Stream = s.stream
		sum.Reads = cmp.Or(s.Stream(), "standard input")
	}
	sum.LeftOut, sum.URLs, sum.Torn = p.leftOut, p.shown, p.torn
	if p.division != nil {
		sum.Shards = p.division.items
	}
	sum.Warnings = p.doubts.warnings()
	if p.join != nil && !sum.Partial {
		sum.Unmatched = p.join.Unmatched()
	}
	if !f.over && !sum.Partial {
		s.found.Store(f)
	}
	return sum, nil
}
