package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
)

const maxShown = 10 // URLs that a Summary shows

// Summary is what Scan found.
type Summary struct {
	Items   int64
	Bytes   int64 // of the files; requests are larger with multipart/form-data
	LeftOut LeftOut
	URLs    []string // the first ten, fit to be shown: credentials gone, the query's literal values masked
	Partial bool     // stdin will name more
}

// Scan makes every item once, except those that stdin will name, without opening any but the manifest. It returns
// an error for the first thing that would fail later: an unreadable directory, a glob that matches nothing, a bad line in the manifest, a
// file that is missing, a name that does not fit the template, and two items that would both PUT (or do anything but POST and
// PATCH) to one URL. A file that vanishes during the scan is no error. When ctx ends, Scan returns its cause.
//
// It needs about 20 bytes of memory for each item with a URL of its own, and up to 16 MiB to remember files, unless there are too many,
// so that Items need not look for them again.
func (s *Source) Scan(ctx context.Context) (Summary, error) {
	var sum Summary
	var failed error
	f := new(found)
	f.over = s.opts.Manifest != "" // whose items have more than a file has
	seen := newURLSet()
	p := &pass{ctx: ctx, noStdin: true, yield: func(item Item, err error) bool {
		if errors.Is(err, errVanished) {
			return true
		}
		if err == nil && unique(item) && !seen.add(item.URL) {
			err = s.twice(ctx, item, sum.Items)
		}
		failed = err
		f.add(item)
		sum.Items++
		sum.Bytes += item.Size
		return err == nil
	}}
	s.each(p)
	if failed != nil {
		return Summary{}, failed
	}
	sum.LeftOut, sum.URLs = p.leftOut, p.shown
	for _, r := range s.roots {
		sum.Partial = sum.Partial || r.stdin
	}
	if !f.over && !sum.Partial {
		s.found.Store(f)
	}
	return sum, nil
}

// twice walks again to name the item before the n-th that has the same URL. It finds none if that one vanished, or if the
// hashes were equal and the URLs were not.
func (s *Source) twice(ctx context.Context, item Item, n int64) (found error) {
	s.each(&pass{ctx: ctx, noStdin: true, yield: func(first Item, err error) bool {
		if errors.Is(err, errVanished) {
			return true
		}
		if err == nil && n > 0 && unique(first) && first.URL == item.URL {
			found = fmt.Errorf("source: %s and %s would both %s to %s: send a directory that holds both, with {path} in the URL, or leave one out",
				printable(first.Path), printable(item.Path), item.Method, maskQuery(item.URL, false))
		}
		n--
		return found == nil && n > 0
	}})
	return found
}

// A urlSet remembers URLs by 64 bits of hash. The chance that two of a million share one is 1 in 37 million: Scan then sees
// that the URLs differ, and in Items the later item fails until the next run, which hashes anew.
type urlSet struct {
	seed maphash.Seed
	seen map[[8]byte]struct{} // with uint64 the map's slots would be padded to 16 bytes
}

func newURLSet() *urlSet { return &urlSet{maphash.MakeSeed(), map[[8]byte]struct{}{}} }

// add reports whether url is new.
func (s *urlSet) add(url string) bool {
	var h [8]byte
	binary.NativeEndian.PutUint64(h[:], maphash.String(s.seed, url))
	n := len(s.seen)
	s.seen[h] = struct{}{}
	return len(s.seen) > n
}
