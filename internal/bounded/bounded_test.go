package bounded

import "testing"

func TestMap(t *testing.T) {
	var m Map[int, int]
	for i := range 100 {
		v := m.Of(i, 10)
		if *v != 0 || m.Of(i, 10) != v {
			t.Fatalf("%d: %d, and then another", i, *v)
		}
		*v = i + 1
		if want := min(i+1, 10); len(m.m) != want {
			t.Fatalf("%d keys, want %d", len(m.m), want)
		}
	}
}
