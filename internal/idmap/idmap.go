// Package idmap has a map from 64-bit hashes that takes little memory, also while it grows.
package idmap

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// A Map is an open-addressing table with linear probing. It is cut into shards, so that growing
// copies a small part at a time and never holds two whole tables. It is for one goroutine, or for
// several that put nothing more.
//
// A place with a zero value is free.
type Map[V comparable] struct {
	shards [64]shard[V]
}

type shard[V comparable] struct {
	entries []entry[V]
	used    int
}

type entry[V comparable] struct {
	idBytes [8]byte // no uint64, which would align an entry with a small value to 16 bytes
	value   V
}

func (e *entry[V]) id() uint64      { return binary.NativeEndian.Uint64(e.idBytes[:]) }
func (e *entry[V]) setID(id uint64) { binary.NativeEndian.PutUint64(e.idBytes[:], id) }

// New makes room for count entries.
func New[V comparable](count int64) *Map[V] {
	m := new(Map[V])
	for i := range m.shards {
		// Hashes spread over shards unevenly by about the square root of the mean; with this slack
		// few shards have to grow.
		room := count*5/4/int64(len(m.shards)) + count/2048 + 8
		m.shards[i].entries = make([]entry[V], room)
	}
	return m
}

// Get returns the value of id, or nil.
func (m *Map[V]) Get(id uint64) *V {
	h := Mix(id)
	e := m.shards[h>>58].find(id, h)
	if e.value == *new(V) {
		return nil
	}
	return &e.value
}

// Put returns the value of id, which is fresh if there was none. It is valid until the next Put.
func (m *Map[V]) Put(id uint64, fresh V) *V {
	h := Mix(id)
	s := &m.shards[h>>58]
	e := s.find(id, h)
	if e.value != *new(V) {
		return &e.value
	}
	if s.used+1 > len(s.entries)/8*7 {
		s.grow()
		e = s.find(id, h)
	}
	s.used++
	e.setID(id)
	e.value = fresh
	return &e.value
}

// All yields the ids and their values, in no particular order.
func (m *Map[V]) All() iter.Seq2[uint64, V] {
	return func(yield func(uint64, V) bool) {
		for i := range m.shards {
			for _, e := range m.shards[i].entries {
				if e.value != *new(V) && !yield(e.id(), e.value) {
					return
				}
			}
		}
	}
}

// find returns the entry of id, or the free entry where it belongs.
func (s *shard[V]) find(id, h uint64) *entry[V] {
	// The multiplication maps the hash's low bits, which did not choose the shard, onto the table's
	// length.
	slot, _ := bits.Mul64(h<<6, uint64(len(s.entries)))
	for i := int(slot); ; {
		e := &s.entries[i]
		if e.value == *new(V) || e.id() == id {
			return e
		}
		if i++; i == len(s.entries) {
			i = 0
		}
	}
}

func (s *shard[V]) grow() {
	old := s.entries
	s.entries = make([]entry[V], len(old)*3/2+8)
	for _, e := range old {
		if e.value != *new(V) {
			*s.find(e.id(), Mix(e.id())) = e
		}
	}
}

// Mix is the finalizer of SplitMix64: a bijection in which each bit depends on all.
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
