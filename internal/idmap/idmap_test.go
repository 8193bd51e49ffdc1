package idmap

import (
	"testing"
	"unsafe"
)

func size[V comparable](m *Map[V]) (bytes int) {
	for i := range m.shards {
		bytes += len(m.shards[i].entries) * int(unsafe.Sizeof(entry[V]{}))
	}
	return bytes
}

func TestMapGrows(t *testing.T) {
	m := New[[2]uint64](0)
	const n = 20_000
	for i := range uint64(n) {
		v := m.Put(i*64, [2]uint64{0, 1}) // ids need not be good hashes
		if *v != [2]uint64{0, 1} {
			t.Fatalf("%d is there already", i)
		}
		v[0] = i
	}
	for i := range uint64(n) {
		if v := m.Get(i * 64); v == nil || *v != [2]uint64{i, 1} {
			t.Fatalf("%d: %v", i, v)
		}
		if v := m.Put(i*64, [2]uint64{9, 9}); *v != [2]uint64{i, 1} {
			t.Fatalf("%d: %v", i, v)
		}
		if m.Get(i*64+1) != nil {
			t.Fatalf("%d: one too many", i)
		}
	}
	all := 0
	for id, v := range m.All() {
		if all++; v != [2]uint64{id / 64, 1} || id%64 != 0 {
			t.Fatalf("%d: %v among all", id, v)
		}
	}
	if all != n {
		t.Errorf("%d in all", all)
	}
	for range m.All() {
		break
	}
	if bytes := size(m); bytes > 2*n*24 {
		t.Errorf("%d bytes for %d", bytes, n)
	}
	if bytes := size(New[[2]uint64](1e6)); bytes > 32<<20 {
		t.Errorf("%d bytes for a million", bytes)
	}
	if bytes := size(New[bool](1e6)); bytes > 12<<20 {
		t.Errorf("%d bytes for a set of a million", bytes)
	}
}
