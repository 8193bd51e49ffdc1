// Package test has helpers that the tests of all packages use.
package test

// A TB is what is needed of a testing.TB. One of rapid has it, too.
type TB interface {
	Helper()
	Error(args ...any)
	Fatal(args ...any)
}

// OK ends a test if what it needs to go on has failed.
func OK(t TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Check fails a test, which goes on, if there is an error. Any goroutine may call it.
func Check(t TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
