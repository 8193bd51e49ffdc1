package journal

import (
	"math/bits"

	"github.com/penstock/penstock/internal/item"
)

// index finds the row of an item: an open-addressing table with linear probing, of 24 bytes an entry. It is cut into
// shards, so that growing copies a small part at a time and never holds two whole tables.
type index struct {
	shards [64]shard
}

type shard struct {
	entries []indexEntry
	used    int
}

// indexEntry is free when meta is zero.
type indexEntry struct {
	id, print uint64
	meta      uint64 // n<<8 | flags | state
}

const (
	maxRow      = 1<<55 - 1
	stateMask   = 0x07
	claimedFlag = 0x40
	usedFlag    = 0x80
)

func (e *indexEntry) n() int64         { return int64(e.meta >> 8) }
func (e *indexEntry) state() item.Fate { return item.Fate(e.meta & stateMask) }
func (e *indexEntry) claimed() bool    { return e.meta&claimedFlag != 0 }

func (e *indexEntry) setRow(n int64, print uint64, s item.Fate) {
	e.print = print
	e.meta = uint64(n)<<8 | e.meta&(claimedFlag|usedFlag) | uint64(s)
}

// newIndex makes room for count entries.
func newIndex(count int64) *index {
	x := new(index)
	for i := range x.shards {
		// Hashes spread over shards unevenly by about the square root of the mean; with this slack few shards
		// have to grow.
		x.shards[i].entries = make([]indexEntry, count*5/4/int64(len(x.shards))+count/2048+8)
	}
	return x
}

func (s *shard) slot(h uint64) int {
	// The multiplication maps the hash's low bits, which did not choose the shard, onto the table's length.
	hi, _ := bits.Mul64(h<<6, uint64(len(s.entries)))
	return int(hi)
}

// find returns the entry of id, or the free entry where it belongs.
func (s *shard) find(id, h uint64) *indexEntry {
	for i := s.slot(h); ; {
		e := &s.entries[i]
		if e.meta == 0 || e.id == id {
			return e
		}
		if i++; i == len(s.entries) {
			i = 0
		}
	}
}

// get returns the entry of id, or nil.
func (x *index) get(id uint64) *indexEntry {
	h := mix(id)
	e := x.shards[h>>58].find(id, h)
	if e.meta == 0 {
		return nil
	}
	return e
}

// put returns the entry of id, made if need be. It is valid until the next put.
func (x *index) put(id uint64) *indexEntry {
	h := mix(id)
	s := &x.shards[h>>58]
	e := s.find(id, h)
	if e.meta != 0 {
		return e
	}
	if s.used+1 > len(s.entries)/8*7 {
		s.grow()
		e = s.find(id, h)
	}
	s.used++
	e.id, e.meta = id, usedFlag
	return e
}

// claim looks an item up and marks it as taken up.
func (x *index) claim(id, print uint64) Claim {
	e := x.put(id)
	c := e.claim(print)
	e.meta |= claimedFlag
	return c
}

func (s *shard) grow() {
	old := s.entries
	s.entries = make([]indexEntry, len(old)*3/2+8)
	for i := range old {
		if old[i].meta != 0 {
			*s.find(old[i].id, mix(old[i].id)) = old[i]
		}
	}
}
