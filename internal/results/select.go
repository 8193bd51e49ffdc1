package results

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/item"
)

// An id stands for an item's key, path or place: 64 bits of hash. The chance that two of a million
// share one is 1 in 37 million.
type id uint64

// A hasher makes ids. It is for one goroutine; another with the same seed and dir makes the same.
type hasher struct {
	seed maphash.Seed
	dir  string // where relative paths begin
	buf  []byte
}

func newHasher() (hasher, error) {
	dir, err := os.Getwd()
	if err != nil {
		return hasher{}, fmt.Errorf("results: %w", err)
	}
	return hasher{seed: maphash.MakeSeed(), dir: dir}, nil
}

func (h *hasher) sum() id { return id(maphash.Bytes(h.seed, h.buf)) }

// path takes data/a and ./data/./a for the same.
func (h *hasher) path(name string) id {
	if filepath.IsAbs(name) {
		name = filepath.Clean(name)
	} else {
		name = filepath.Join(h.dir, name)
	}
	h.buf = append(append(h.buf[:0], 'p'), name...)
	return h.sum()
}

func (h *hasher) key(key string) id {
	h.buf = append(append(h.buf[:0], 'k'), key...)
	return h.sum()
}

// place goes without the URL's query, of which results show the names only.
func (h *hasher) place(path id, method, url string) id {
	url, _, _ = strings.Cut(url, "?")
	h.buf = binary.NativeEndian.AppendUint64(append(h.buf[:0], 'u'), uint64(path))
	h.buf = append(append(append(h.buf, method...), ' '), url...)
	return h.sum()
}

// of returns what a line is about: the item with its key, else the path and where that went to, for
// one file may go to several URLs. A key that was made depends on the file's content.
func (h *hasher) of(r Result) (item, path id) {
	path = h.path(r.Path)
	if r.Key != "" && !r.KeyMade {
		return h.key(r.Key), path
	}
	return h.place(path, r.Method, r.URL), path
}

// A held is the line that holds of an item.
type held struct {
	path id
	line uint32
}

// hold returns the lines that are asked for and hold. Of several lines about one item that is the
// last, but that an item was skipped says nothing new of it.
func (h *hasher) hold(
	ctx context.Context, what, name string, only item.Fates,
) (map[id]held, bool, error) {
	lines := map[id]held{}
	torn, err := Read(ctx, what, name, func(number int, r Result) {
		if only.Has(r.Status) {
			item, path := h.of(r)
			lines[item] = held{path, uint32(number)}
		} else if len(lines) > 0 && r.Status != item.Skipped {
			item, _ := h.of(r)
			delete(lines, item)
		}
	})
	return lines, torn, err
}

// A bitset holds small numbers.
type bitset []uint64

func (b *bitset) add(n int) {
	for n/64 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bitset) has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }

// A Lines is the lines of a results file that are to be sent again themselves.
type Lines struct {
	Torn    bool // the last line was cut off, and was passed over
	numbers bitset
}

// Has reports whether the line of that number is among them.
func (l *Lines) Has(number int) bool { return l.numbers.has(number) }

// SelectLines reads a manifest of results, for the lines that only asks for.
func SelectLines(ctx context.Context, name string, only item.Fates) (*Lines, error) {
	h, err := newHasher()
	if err != nil {
		return nil, err
	}
	held, torn, err := h.hold(ctx, "manifest", name, only)
	if err != nil {
		return nil, err
	}
	l := &Lines{Torn: torn}
	for _, at := range held {
		l.numbers.add(int(at.line))
	}
	return l, nil
}

// A Selection is what the lines of a results file that are asked for say of items that others name.
// It takes 24 bytes a line that is asked for, for a moment three times that, and nothing for
// others. It is safe for concurrent use.
type Selection struct {
	Torn bool // the last line was cut off, and was passed over

	hash    hasher
	items   []chosen // sorted
	paths   []id     // of these, sorted
	keyless bitset   // the paths that have an item without a key
	// Keys and places on these paths that are not asked for; true: but a key is that went there.
	other map[id]bool
}

type chosen struct{ item, path id } // by what hasher.of says of the line

func (s *Selection) item(item id) (int, bool) {
	return slices.BinarySearchFunc(s.items, item, func(c chosen, item id) int {
		return cmp.Compare(c.item, item)
	})
}

func (s *Selection) path(path id) (int, bool) { return slices.BinarySearch(s.paths, path) }

// Select reads results, for what only asks for.
func Select(ctx context.Context, name string, only item.Fates) (*Selection, error) {
	h, err := newHasher()
	if err != nil {
		return nil, err
	}
	s := &Selection{hash: h, other: map[id]bool{}}
	held, torn, err := h.hold(ctx, "results", name, only)
	if err != nil {
		return nil, err
	}
	s.Torn = torn
	s.items = make([]chosen, 0, len(held))
	s.paths = make([]id, 0, len(held))
	for item, at := range held {
		s.items = append(s.items, chosen{item, at.path})
		s.paths = append(s.paths, at.path)
	}
	slices.SortFunc(s.items, func(a, b chosen) int { return cmp.Compare(a.item, b.item) })
	slices.Sort(s.paths)
	s.paths = slices.Compact(s.paths)
	if len(s.items) == 0 {
		return s, nil
	}
	// Of a file that went to several places not all may be asked for.
	_, err = Read(ctx, "results", name, func(_ int, r Result) {
		item, path := h.of(r)
		n, ok := s.path(path)
		if !ok {
			return
		}
		place := h.place(path, r.Method, r.URL)
		_, asked := s.item(item)
		if asked && place == item {
			s.keyless.add(n)
			return
		}
		s.other[place] = asked || s.other[place]
		if !asked && item != place {
			s.other[item] = false
		}
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// A Match is a Selection in use, for one goroutine. It notes which lines have found an item. If
// nil, every item is asked for.
type Match struct {
	*Selection
	hash         hasher
	items, paths bitset // that were found
}

// Match begins to use s.
func (s *Selection) Match() *Match {
	return &Match{Selection: s, hash: hasher{seed: s.hash.seed, dir: s.hash.dir}}
}

// May reports whether an item can be asked for, as far as its path and key say.
func (m *Match) May(it *item.Item) bool {
	if m == nil {
		return true
	}
	_, may, _ := m.byFile(it)
	return may
}

// Takes reports whether an item is asked for: by its key where the line has one too, else by its
// path, and where the results know the place that it goes to, by that.
func (m *Match) Takes(it *item.Item) bool {
	if m == nil {
		return true
	}
	path, may, sure := m.byFile(it)
	if !may || sure {
		return may
	}
	place := m.hash.place(path, it.Method, it.URL)
	if i, ok := m.Selection.item(place); ok {
		m.items.add(i)
		return true
	}
	if asked, known := m.other[place]; known && (!asked || it.Key != "") {
		return false
	}
	n, _ := m.Selection.path(path)
	m.paths.add(n)
	return true
}

// byFile reports whether an item may be asked for by its key or path, and whether the place that it
// goes to does not matter any more.
func (m *Match) byFile(it *item.Item) (path id, may, sure bool) {
	if it.Key != "" {
		key := m.hash.key(it.Key)
		if i, ok := m.Selection.item(key); ok {
			m.items.add(i)
			return 0, true, true
		}
		if _, known := m.other[key]; known {
			return 0, false, true
		}
	}
	path = m.hash.path(it.Path)
	n, ok := m.Selection.path(path)
	return path, ok && (it.Key == "" || m.keyless.has(n)), false
}

// Unmatched returns how many of the lines have found no item.
func (m *Match) Unmatched() (n int64) {
	for i, c := range m.Selection.items {
		if path, _ := m.Selection.path(c.path); !m.items.has(i) && !m.paths.has(path) {
			n++
		}
	}
	return n
}
