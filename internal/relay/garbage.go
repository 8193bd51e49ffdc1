package relay

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// fewBytes is what a relay has on the heap at most while some hundreds of clients are served:
	// about 12 KiB for each connection on either side.
	fewBytes = 8 << 20

	// Garbage that may gather before it is collected, in percent of what is in use: Go's default,
	// and while that is few bytes. The default would then collect many times a second, which costs
	// a sixth of the time of each request.
	usualGarbage, moreGarbage = 100, 400
)

// CollectSeldom has the process collect its garbage less often for as long as little memory is in
// use. It does nothing if the user has set GOGC. It is to be called once.
func CollectSeldom() {
	if os.Getenv("GOGC") == "" {
		setGarbage(usualGarbage)
	}
}

// setGarbage sets the percentage for the memory that is in use, of which was is in force, and does
// so again after each collection.
func setGarbage(was int) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := garbageFor(live[0].Value.Uint64())
	if percent != was { // it stops everything for a moment
		debug.SetGCPercent(percent)
	}
	type collected struct{ _ [4]*byte } // not so small that it shares its place with others
	runtime.AddCleanup(new(collected), setGarbage, percent)
}

func garbageFor(live uint64) int {
	if live < fewBytes {
		return moreGarbage
	}
	return usualGarbage
}
