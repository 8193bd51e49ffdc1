package suspend

import (
	"testing"
	"time"
)

// A machine that runs a test is not suspended.
func TestTotal(t *testing.T) {
	before := Total()
	if before < 0 {
		t.Errorf("%v in all", before)
	}
	if more := (Total() - before).Abs(); more > time.Second {
		t.Errorf("%v between two calls", more)
	}
}
