package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/penstock/penstock/internal/secret"
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
	URLs    []string // the first Options.ShownURLs, fit to be shown: credentials gone, the query's literal values masked
	Partial bool     // stdin will name more

	// Of Items, those that cannot be sent; Items yields them as errors. Failures are the first twenty.
	Failed   int64
	Failures []*ItemError
	// Warnings are about what is probably a mistake, one a line.
	Warnings []string

	// Of Options.From, the lines that were asked for and match no item; not counted where Partial.
	Unmatched int64
	// The last line of the results was cut off, and was passed over.
	Torn bool
}

// Scan makes every item once, except those that stdin will name, without opening any but the manifest and results. What cannot be
// sent, such as a file that is missing, a directory that cannot be read, or a glob that matches nothing, is counted, and left to Items. Scan
// returns an error where nothing at all can be sent, and for what needs the user first: lines of the manifest that are wrong, all at once as
// a [*LinesError], a file of the run itself that is to be sent, and two items that would both PUT (or do anything but POST and
// PATCH) to one URL or that have one key. A file that vanishes during the scan is no error, nor is one that results name and that is gone. When ctx
// ends, Scan returns its cause.
//
// It needs about 9 bytes of memory for each item whose URL could be another's too, and up to 16 MiB to remember files, unless there are too many,
// so that Items need not look for them again.
func (s *Source) Scan(ctx context.Context) (Summary, error) {
	var sum Summary
	var failed error
	f := new(found)
	f.over = s.opts.Manifest != "" // whose items have more than a file has
	seen := new(census)
	own := s.newOwn(seen.add)
	p := &pass{ctx: ctx, noStdin: true, scan: true, onLeftOut: s.opts.OnLeftOut}
	p.yield = func(item Item, err error) bool {
		var later *laterError
		var itemErr *ItemError
		switch {
		case err == nil:
			own.taken(item)
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
		f.add(item)
		sum.Items++
		sum.Bytes += item.Size
		sum.Largest = max(sum.Largest, item.Size)
		return err == nil
	}
	s.each(p)
	for _, r := range s.roots {
		sum.Partial = sum.Partial || r.stdin
	}
	switch {
	case failed != nil:
	case p.bad.n > 0:
		failed = p.bad.error()
	case sum.Failed > 0 && sum.Failed == sum.Items && !sum.Partial:
		failed = sum.Failures[0]
		if s.opts.Manifest != "" { // its lines are told together, as those that are wrong
			none := badLines{n: int(sum.Failed)}
			for _, err := range sum.Failures {
				none.errs = append(none.errs, err)
			}
			failed = none.error()
		}
	}
	if failed == nil {
		failed = s.twice(ctx, own, seen.twice())
	}
	if failed != nil {
		return Summary{}, failed
	}
	sum.LeftOut, sum.URLs, sum.Torn = p.leftOut, p.shown, p.torn
	sum.Warnings = p.doubts.warnings()
	if p.join != nil && !sum.Partial {
		sum.Unmatched = p.join.unmatched()
	}
	if !f.over && !sum.Partial {
		s.found.Store(f)
	}
	return sum, nil
}

// twice walks again to name two items that share what they may not, or with a manifest all such, by the hashes that were seen twice. It
// finds none if one vanished, or if the hashes were equal and the URLs were not.
func (s *Source) twice(ctx context.Context, own *own, hashes map[uint64]bool) error {
	if len(hashes) == 0 {
		return nil
	}
	var pairs badLines
	firsts := map[uint64]Item{}
	s.each(&pass{ctx: ctx, noStdin: true, yield: func(item Item, err error) bool {
		if err != nil {
			return true
		}
		own.seen = func(h uint64) bool {
			first, ok := firsts[h]
			if !ok && hashes[h] {
				firsts[h] = item
			}
			switch {
			case !ok:
			case first.Key != "" && first.Key == item.Key:
				pairs.add(fmt.Errorf("%s and %s have the same key %s: give each item a key of its own",
					printable(first.Path), printable(item.Path), printable(item.Key)))
			case first.URL == item.URL && first.Path == item.Path && s.opts.Manifest == "":
				pairs.add(fmt.Errorf("%s is named twice: name it, or a directory that holds it, once", printable(item.Path)))
			case first.URL == item.URL:
				advice := "send a directory that holds both, with {path} in the URL"
				if s.opts.Manifest != "" {
					advice = "give each line a URL of its own"
				}
				pairs.add(fmt.Errorf("%s and %s would both %s to %s: %s, or leave one out",
					printable(first.Path), printable(item.Path), item.Method, secret.URL(item.URL), advice))
			}
			return false
		}
		own.taken(item)
		return pairs.n == 0 || s.opts.Manifest != ""
	}})
	if pairs.n == 0 {
		return nil
	}
	return pairs.error()
}

// own knows what no two items may share, as 64 bits of hash. The chance that two of a million URLs have one hash is 1 in 37 million: Scan then sees
// that the URLs differ, and in Items the later item fails until the next run, which hashes anew.
type own struct {
	urls, keys maphash.Seed
	alike      bool              // two items can have one URL
	seen       func(uint64) bool // notes a hash, and reports whether it was there
}

func (s *Source) newOwn(seen func(uint64) bool) *own {
	return &own{urls: maphash.MakeSeed(), keys: maphash.MakeSeed(), alike: !s.unalike, seen: seen}
}

// taken returns what the item has in common with an earlier one, or "".
func (o *own) taken(item Item) string {
	switch {
	case item.Key != "" && o.seen(maphash.String(o.keys, item.Key)):
		return "has the same key"
	case o.alike && unique(item) && o.seen(maphash.String(o.urls, item.URL)):
		return "goes to the same URL"
	}
	return ""
}

// hashSet says at once which hashes it has seen, for about 20 bytes each.
type hashSet map[[8]byte]struct{} // with uint64 the map's slots would be padded to 16 bytes

func (s hashSet) add(h uint64) (seen bool) {
	var key [8]byte
	binary.NativeEndian.PutUint64(key[:], h)
	n := len(s)
	s[key] = struct{}{}
	return len(s) == n
}

// A census says afterwards which hashes it has seen twice, for about 9 bytes each. It has a list for each first byte, so that growing takes little.
type census [256][]uint64

func (c *census) add(h uint64) (seen bool) {
	c[h>>56] = append(c[h>>56], h)
	return false
}

// twice returns some of the hashes that were added more than once, if any were.
func (c *census) twice() map[uint64]bool {
	hashes := map[uint64]bool{}
	for _, list := range c {
		slices.Sort(list)
		for i := 1; i < len(list) && len(hashes) < 100; i++ {
			if list[i] == list[i-1] {
				hashes[list[i]] = true
			}
		}
	}
	return hashes
}
