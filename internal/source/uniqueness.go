package source

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/template"
)

// uniqueness knows what no two items may share, as 64 bits of hash. The chance that two of a
// million URLs have one hash is 1 in 37 million: Scan then sees that the URLs differ, and in Items
// the later item fails until the next run, which hashes anew.
type uniqueness struct {
	urls, keys maphash.Seed
	alike      bool              // two items can have one URL
	seen       func(uint64) bool // notes a hash, and reports whether it was there
}

func (s *Source) newUniqueness(seen func(uint64) bool) *uniqueness {
	return &uniqueness{
		urls: maphash.MakeSeed(), keys: maphash.MakeSeed(), alike: !s.unalike, seen: seen,
	}
}

// taken returns what the item has in common with an earlier one, or "".
func (u *uniqueness) taken(it item.Item) string {
	switch {
	case it.Key != "" && u.seen(maphash.String(u.keys, it.Key)):
		return "has the same key"
	case it.Key == "" && it.NoFile() && !needsOwnURL(it) && u.seen(maphash.String(u.keys, it.Hash)):
		return "is the same line"
	case u.alike && needsOwnURL(it) && u.seen(u.urlOf(it)):
		return "goes to the same URL"
	}
	return ""
}

// urlOf returns the hash of an item's URL. Where that is not known yet, it is taken for another one
// than those of other files.
func (u *uniqueness) urlOf(it item.Item) uint64 {
	if !template.Incomplete(it.URL) {
		return maphash.String(u.urls, it.URL)
	}
	return maphash.Comparable(u.urls, [2]string{it.URL, it.Path})
}

// needsOwnURL reports whether the item's URL must be its own: the later of two PUTs would overwrite
// the earlier.
func needsOwnURL(it item.Item) bool {
	return it.Method != http.MethodPost && it.Method != http.MethodPatch
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

func (s hashSet) has(h uint64) bool {
	_, ok := s[[8]byte(binary.NativeEndian.AppendUint64(nil, h))]
	return ok
}

// A hashList says afterwards which hashes it has seen twice, for about 9 bytes each. It has a list
// for each first byte, so that growing takes little.
type hashList [256][]uint64

func (c *hashList) add(h uint64) (seen bool) {
	c[h>>56] = append(c[h>>56], h)
	return false
}

// twice returns some of the hashes that were added more than once, if any were.
func (c *hashList) twice() map[uint64]bool {
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

// twice walks again to name two items that share what they may not, or with a manifest all such, by
// the hashes that were seen twice. It finds none if one vanished, or if the hashes were equal and
// the URLs were not.
func (s *Source) twice(ctx context.Context, unique *uniqueness, hashes map[uint64]bool) error {
	if len(hashes) == 0 {
		return nil
	}
	var pairs LinesError
	firsts := map[uint64]item.Item{}
	s.each(&iteration{ctx: ctx, noStdin: true, yield: func(it item.Item, err error) bool {
		if err != nil {
			return true
		}
		unique.seen = func(h uint64) bool {
			first, ok := firsts[h]
			if !ok && hashes[h] {
				firsts[h] = it
			}
			switch {
			case !ok:
			case it.NoFile() && first.Hash == it.Hash && it.Key == "":
				pairs.add(fmt.Errorf("lines %d and %d are the same, and have neither a path nor a "+
					"key: give each item a key of its own", first.Line, it.Line))
			case first.Key != "" && first.Key == it.Key:
				pairs.add(fmt.Errorf("%s and %s have the same key %s: "+
					"give each item a key of its own",
					human.Quote(first.Path), human.Quote(it.Path), human.Quote(it.Key)))
			case first.URL == it.URL && first.Path == it.Path && s.opts.Manifest == "":
				pairs.add(fmt.Errorf("%s is named twice: "+
					"name it, or a directory that holds it, once", human.Quote(it.Path)))
			case first.URL == it.URL:
				advice := "send a directory that holds both, with {path} in the URL"
				if s.opts.Manifest != "" {
					advice = "give each line a URL of its own"
				}
				pairs.add(fmt.Errorf("%s and %s would both %s to %s: %s, or leave one out",
					human.Quote(first.Path), human.Quote(it.Path), it.Method, conceal.URL(it.URL),
					advice))
			}
			return false
		}
		unique.taken(it)
		return len(pairs.Errs) == 0 || s.opts.Manifest != ""
	}})
	return pairs.orNil()
}
