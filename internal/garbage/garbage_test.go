package garbage

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

// When garbage is collected follows from the memory in use, from one collection to the next.
func TestKeepSmall(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	defer debug.SetGCPercent(debug.SetGCPercent(usualGarbage))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	for _, c := range []struct {
		heap, stacks uint64
		want         setting
	}{
		{0, 0, setting{moreGarbage, most}},
		{few, few, setting{moreGarbage, most}},
		{few + 1, few, setting{usualGarbage, most}},
		{much / 2, much / 2, setting{usualGarbage, most}},
		{much / 2, much/2 + 1, setting{usualGarbage, math.MaxInt64}},
		{few, much, setting{usualGarbage, math.MaxInt64}},
	} {
		if got := settingFor(c.heap, c.stacks); got != c.want {
			t.Errorf("%d and %d bytes: %+v", c.heap, c.stacks, got)
		}
	}
	KeepSmall()
	lots := make([]byte, much)
	for debug.SetMemoryLimit(-1) != math.MaxInt64 {
		runtime.GC() // after which the cleanup runs, some time
	}
	runtime.KeepAlive(lots)
}
