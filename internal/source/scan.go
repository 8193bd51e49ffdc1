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

	// Of Options.From, the lines that were asked for and match no item; not counted where Partial.
	Unmatched int64
	// The last line of the results was cut off, and was passed over.
	Torn bool
}

// Scan makes every item once, except those that stdin will name, without opening any but the manifest and results. It returns
// an error for the first thing that would fail later: an unreadable directory, a glob that matches nothing, a bad line in the manifest, a
// file that is missing, a name that does not fit the template, and two items that would both PUT (or do anything but POST and
// PATCH) to one URL or that have one key. A file that vanishes during the scan is no error, nor is one that results name and that is gone. When ctx
// ends, Scan returns its cause.
//
// It needs about 20 bytes of memory for each item whose URL could be another's too, and up to 16 MiB to remember files, unless there are too many,
// so that Items need not look for them again.
func (s *Source) Scan(ctx context.Context) (Summary, error) {
	var sum Summary
	var failed error
	f := new(found)
	f.over = s.opts.Manifest != "" // whose items have more than a file has
	taken := s.newTaken()
	p := &pass{ctx: ctx, noStdin: true}
	p.yield = func(item Item, err error) bool {
		var later *laterError
		switch {
		case err == nil:
			if what := taken.add(item); what != "" {
				err = s.twice(ctx, item, sum.Items, what)
			}
		case errors.Is(err, errVanished):
			return true
		case errors.As(err, &later):
			err = nil
		}
		failed = err
		f.add(item)
		sum.Items++
		sum.Bytes += item.Size
		return err == nil
	}
	s.each(p)
	if failed != nil {
		return Summary{}, failed
	}
	sum.LeftOut, sum.URLs, sum.Torn = p.leftOut, p.shown, p.torn
	for _, r := range s.roots {
		sum.Partial = sum.Partial || r.stdin
	}
	if p.join != nil && !sum.Partial {
		sum.Unmatched = p.join.unmatched()
	}
	if !f.over && !sum.Partial {
		s.found.Store(f)
	}
	return sum, nil
}

// twice walks again to name the item before the n-th that has the same URL or key. It finds none if that one vanished, or if the
// hashes were equal and the URLs were not.
func (s *Source) twice(ctx context.Context, item Item, n int64, what string) (found error) {
	s.each(&pass{ctx: ctx, noStdin: true, yield: func(first Item, err error) bool {
		switch {
		case errors.Is(err, errVanished):
			return true
		case err != nil || n <= 0:
		case what == sameKey && first.Key == item.Key:
			found = fmt.Errorf("source: %s and %s have the same key %s, which must be an item's own",
				printable(first.Path), printable(item.Path), printable(item.Key))
		case what == sameURL && unique(first) && first.URL == item.URL:
			found = fmt.Errorf("source: %s and %s would both %s to %s: send a directory that holds both, with {path} in the URL, or leave one out",
				printable(first.Path), printable(item.Path), item.Method, maskQuery(item.URL, false))
		}
		n--
		return found == nil && n > 0
	}})
	return found
}

// taken remembers what no two items may share, by 64 bits of hash. The chance that two of a million URLs have one hash is 1 in 37 million: Scan then sees
// that the URLs differ, and in Items the later item fails until the next run, which hashes anew.
type taken struct {
	urls, keys maphash.Seed
	alike      bool                 // two items can have one URL
	seen       map[[8]byte]struct{} // with uint64 the map's slots would be padded to 16 bytes
}

const (
	sameURL = "goes to the same URL"
	sameKey = "has the same key"
)

func (s *Source) newTaken() *taken {
	return &taken{urls: maphash.MakeSeed(), keys: maphash.MakeSeed(), alike: !s.unalike, seen: map[[8]byte]struct{}{}}
}

// add returns what the item has in common with an earlier one, or "".
func (t *taken) add(item Item) string {
	switch {
	case item.Key != "" && !t.new(t.keys, item.Key):
		return sameKey
	case t.alike && unique(item) && !t.new(t.urls, item.URL):
		return sameURL
	}
	return ""
}

func (t *taken) new(seed maphash.Seed, text string) bool {
	var h [8]byte
	binary.NativeEndian.PutUint64(h[:], maphash.String(seed, text))
	n := len(t.seen)
	t.seen[h] = struct{}{}
	return len(t.seen) > n
}
