// Package garbage has a server need little memory while it has little to do.
package garbage

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// few bytes are in use at most while some hundreds of clients are served: about 12 KiB for each
	// connection on either side. As long as it is no more, moreGarbage may gather, in percent of
	// that, in place of usualGarbage, which is Go's default. The default would then collect many
	// times a second, which costs a tenth of the time of each request.
	few                       = 8 << 20
	usualGarbage, moreGarbage = 100, 400

	// most bytes may be used with the garbage as long as no more than much is in use, which 10,000
	// requests that wait do not reach. With more in use to collect so often would cost too much.
	much, most = 60 << 20, 80 << 20
)

// KeepSmall has the process collect its garbage such that it needs little memory while little is in
// use, but not more often than that needs. It does nothing if the user has set GOGC or GOMEMLIMIT.
// It is to be called once.
func KeepSmall() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		collect(setting{usualGarbage, math.MaxInt64})
	}
}

// A setting is when garbage is collected: the values of debug.SetGCPercent and SetMemoryLimit.
type setting struct {
	percent int
	limit   int64
}

// collect sets what is right for the memory that is in use, in place of was, and does so again
// after each collection.
func collect(was setting) {
	used := []metrics.Sample{{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(used)
	g := settingFor(used[0].Value.Uint64(), used[1].Value.Uint64())
	if g.percent != was.percent { // to set them stops everything for a moment
		debug.SetGCPercent(g.percent)
	}
	if g.limit != was.limit {
		debug.SetMemoryLimit(g.limit)
	}
	type collected struct{ _ [4]*byte } // not so small that it shares its place with others
	runtime.AddCleanup(new(collected), collect, g)
}

func settingFor(heap, stacks uint64) setting {
	switch {
	case heap+stacks > much:
		return setting{usualGarbage, math.MaxInt64}
	case heap > few:
		return setting{usualGarbage, most}
	}
	return setting{moreGarbage, most}
}
