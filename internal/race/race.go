// Package race keeps tests of many alike cases short where the race detector watches them: it makes
// them several times slower, and sees in one of them what it sees in all.
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
