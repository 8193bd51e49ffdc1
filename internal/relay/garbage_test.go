package relay

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// The percentage follows the memory in use, from one collection to the next.
func TestCollectSeldom(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(usualGarbage))
	for live, want := range map[uint64]int{
		0: moreGarbage, fewBytes - 1: moreGarbage, fewBytes: usualGarbage, 1 << 40: usualGarbage,
	} {
		if got := garbageFor(live); got != want {
			t.Errorf("%d bytes in use: %d %%", live, got)
		}
	}
	CollectSeldom()
	much := make([]byte, 2*fewBytes)
	for percent := 0; percent != usualGarbage; {
		runtime.GC() // after which the cleanup runs, some time
		percent = debug.SetGCPercent(usualGarbage)
		debug.SetGCPercent(percent)
	}
	runtime.KeepAlive(much)
}
