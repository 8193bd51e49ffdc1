// Package race has tests with many similar cases run fewer of them under the race detector, which
// makes them several times slower and finds in one what it finds in all.
package race

import "testing"

// Few skips the test, the ith of many alike, unless it is one in five or there is no race detector.
func Few(t testing.TB, i int) {
	t.Helper()
	if Skips(i) {
		t.Skip("only one in five of these with the race detector")
	}
}

// Skips reports whether Few skips the ith of many alike tests.
func Skips(i int) bool { return Enabled && i%5 != 0 }

// Of returns how many of n alike cases to run.
func Of(n uint64) uint64 {
	if Enabled {
		return (n + 4) / 5
	}
	return n
}
