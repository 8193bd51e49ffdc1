package results

import (
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstock/penstock/internal/idmap"
	"github.com/penstock/penstock/internal/item"
)

// An id stands for an item's key, path or place: 64 bits of hash, of a path 56. The chance that two
// of a million share one is 1 in 37 million, of paths 1 in 144,000.
type id = uint64

// An index has the line that holds of each item in a results file.
type index struct {
	Torn bool // the last line was cut off, and was passed over

	only  item.Fates
	seed  maphash.Seed
	dir   string // where relative paths begin
	lines *idmap.Map[held]
}

// path takes data/a and ./data/./a for the same.
func (x *index) path(name string) id {
	if filepath.IsAbs(name) {
		name = filepath.Clean(name)
	} else {
		name = filepath.Join(x.dir, name)
	}
	return maphash.String(x.seed, name) >> 8
}

func (x *index) key(key string) id { return maphash.String(x.seed, key) }

// place goes without the URL's query, of which results show the names only.
func (x *index) place(path id, method, url string) id {
	url, _, _ = strings.Cut(url, "?")
	return maphash.Comparable(x.seed, struct {
		path        id
		method, url string
	}{path, method, url})
}

// A held is the line that holds of an item: its fate, and above that its path, or its number in a
// manifest.
type held uint64

const (
	fateBits  = 0x07
	keyedFlag = 0x08 // the line has a key, which says of which item it is
)

func (l held) at() uint64      { return uint64(l >> 8) }
func (l held) keyed() bool     { return l&keyedFlag != 0 }
func (l held) fate() item.Fate { return item.Fate(l & fateBits) }

// An about is what a line is about. The item is the one with its key, else that with its path and
// the place where it went, for one file may go to several URLs. A key that was made depends on the
// file's content.
type about struct{ item, place, path id }

// hold reads results. Each line is at what visit returns. Of several lines about one item the last
// holds, but that an item was skipped says nothing new of it, unless that is asked for.
func hold(
	ctx context.Context, what, name string, only item.Fates,
	visit func(number int, a about) (at uint64),
) (x index, err error) {
	x = index{only: only, seed: maphash.MakeSeed(), lines: idmap.New[held](0)}
	if x.dir, err = os.Getwd(); err != nil {
		return x, fmt.Errorf("results: %w", err)
	}
	x.Torn, err = Read(ctx, what, name, func(number int, r Result) {
		var a about
		a.path = x.path(r.Path)
		a.place = x.place(a.path, r.Method, r.URL)
		a.item = a.place
		line := held(r.Status)
		if r.Key != "" && !r.KeyMade {
			a.item = x.key(r.Key)
			line |= keyedFlag
		}
		line |= held(visit(number, a) << 8)
		last := x.lines.Put(a.item, line)
		if r.Status != item.Skipped || only.Choose(item.Skipped) {
			*last = line
		}
	})
	return x, err
}

// A Lines is the lines of a results file that are to be sent again themselves.
type Lines struct {
	Torn    bool // the last line was cut off, and was passed over
	numbers []uint64
}

// Has reports whether the line of that number is among them.
func (l *Lines) Has(number int) bool {
	return number/64 < len(l.numbers) && l.numbers[number/64]&(1<<(number%64)) != 0
}

// SelectLines reads a manifest of results, for the lines that only chooses. It takes a bit a line,
// and meanwhile as much as [Select].
func SelectLines(ctx context.Context, name string, only item.Fates) (*Lines, error) {
	last := 0
	x, err := hold(ctx, "manifest", name, only, func(number int, _ about) uint64 {
		last = number
		return uint64(number)
	})
	if err != nil {
		return nil, err
	}
	l := &Lines{Torn: x.Torn, numbers: make([]uint64, last/64+1)}
	for _, line := range x.lines.All() {
		if only.Choose(line.fate()) {
			l.numbers[line.at()/64] |= 1 << (line.at() % 64)
		}
	}
	return l, nil
}

// A Selection is what the lines of a results file say of items that others name. It takes about 24
// bytes a line, and 15 for each path that is asked for and each place where a line with a key went.
// It is safe for concurrent use.
type Selection struct {
	index
	marks *idmap.Map[mark] // of paths and places
}

// A mark says of a path which of its lines are asked for, or of a place what lines with keys went
// there.
type mark uint8

const (
	passed  mark = 1 << iota // by lines with keys, whether asked for or not
	byKey                    // one with a key is asked for
	byPlace                  // one without a key is asked for
)

func (s *Selection) mark(at id, m mark) { *s.marks.Put(at, m) |= m }

func (s *Selection) marked(at id) mark {
	if m := s.marks.Get(at); m != nil {
		return *m
	}
	return 0
}

// Select reads results, for what only chooses.
func Select(ctx context.Context, name string, only item.Fates) (*Selection, error) {
	var keyed []about
	x, err := hold(ctx, "results", name, only, func(_ int, a about) uint64 {
		if a.item != a.place {
			keyed = append(keyed, a)
		}
		return a.path
	})
	if err != nil {
		return nil, err
	}
	s := &Selection{x, idmap.New[mark](0)}
	for _, line := range s.lines.All() {
		switch {
		case !only.Choose(line.fate()):
		case line.keyed():
			s.mark(line.at(), byKey)
		default:
			s.mark(line.at(), byPlace)
		}
	}
	for _, a := range keyed {
		m := passed
		if only.Choose(s.lines.Get(a.item).fate()) {
			m |= byKey
		}
		s.mark(a.place, m)
	}
	return s, nil
}

// A Match is a Selection in use, for one goroutine. It notes which lines have found an item. If
// nil, every item is asked for.
type Match struct {
	*Selection
	found *idmap.Map[bool] // items of lines, and paths
}

// Match begins to use s.
func (s *Selection) Match() *Match { return &Match{s, idmap.New[bool](0)} }

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
	place := m.place(path, it.Method, it.URL)
	line, there := m.lines.Get(place), m.marked(place)
	switch {
	case line != nil && m.asks(place, *line):
		return true
	case line == nil && there == 0: // the path is all that is known
	case there&byKey == 0 || it.Key != "":
		return false
	}
	m.found.Put(path, true)
	return true
}

// byFile reports whether an item may be asked for by its key or path, and whether the place that it
// goes to does not matter any more.
func (m *Match) byFile(it *item.Item) (path id, may, sure bool) {
	by := byKey | byPlace
	if it.Key != "" {
		key := m.key(it.Key)
		if line := m.lines.Get(key); line != nil {
			return 0, m.asks(key, *line), true
		}
		by = byPlace
	}
	path = m.path(it.Path)
	return path, m.marked(path)&by != 0, false
}

// asks reports whether a line that has found its item asks for that.
func (m *Match) asks(item id, line held) bool {
	if !m.only.Choose(line.fate()) {
		return false
	}
	m.found.Put(item, true)
	return true
}

// Unmatched returns how many of the lines that are asked for have found no item.
func (m *Match) Unmatched() (n int64) {
	for item, line := range m.lines.All() {
		if m.only.Choose(line.fate()) && m.found.Get(item) == nil && m.found.Get(line.at()) == nil {
			n++
		}
	}
	return n
}
