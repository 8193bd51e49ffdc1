package main

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/penstock/penstock/internal/source"
)

// Memory is spent on time only where it is known that there are few items: standard input may name
// any number.
func TestCollectLess(t *testing.T) {
	if gogc, ok := os.LookupEnv("GOGC"); ok {
		os.Unsetenv("GOGC")
		t.Cleanup(func() { os.Setenv("GOGC", gogc) })
	}
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for _, c := range []struct {
		gogc  string
		found source.Summary
		less  bool
	}{
		{"", source.Summary{Items: 1}, true},
		{"", source.Summary{Items: 100_000}, true},
		{"", source.Summary{Items: 100_001}, false},
		{"", source.Summary{Items: 1, Partial: true}, false},
		{"", source.Summary{Partial: true}, false},
		{"100", source.Summary{Items: 1}, false},
	} {
		if c.gogc != "" {
			t.Setenv("GOGC", c.gogc)
		}
		collectLess(c.found, false)
		if percent := debug.SetGCPercent(100); (percent > 100) != c.less {
			t.Errorf("GOGC %q, %+v: %d %%", c.gogc, c.found, percent)
		}
	}
}
