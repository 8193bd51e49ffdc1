package item

import (
	"slices"
	"testing"
)

func TestSelect(t *testing.T) {
	for name, want := range map[string]Fates{
		"delivered": FatesOf(Delivered),
		"unknown":   FatesOf(Unknown, InFlight),
		"skipped":   FatesOf(Skipped),
		"in_flight": 0,
		"":          0,
		"lost":      0,
	} {
		if got := Select(name); got != want {
			t.Errorf("%q: %v, want %v", name, got.List(), want.List())
		}
	}
}

func TestFates(t *testing.T) {
	var all Fates
	for f := None; f <= Skipped; f++ {
		one := FatesOf(f)
		for other := None; other <= Skipped; other++ {
			if is := f == other; one.Has(other) != is || one.Choose(other) != is {
				t.Errorf("{%v}: %v", f, other)
			}
		}
		if all.Has(f) || !Fates(0).Choose(f) {
			t.Errorf("%v is in %v, or an empty set leaves it out", f, all.List())
		}
		all |= one
	}
	if got := all.List(); len(got) != len(names) || !slices.IsSorted(got) {
		t.Error(got)
	}
}
