package lab

import (
	"sync"
	"time"
)

var slowPreset = preset{Preset{
	Name:    "slow",
	Summary: "reads all bodies together at a bandwidth",
	Params: []Param{
		{"bandwidth", "1MiB", "bytes a second, for all requests together"},
	},
}, func(v *values) rule {
	bandwidth := v.bandwidth("bandwidth")
	return &slow{pace{bandwidth: bandwidth, piece: max(1, int(bandwidth/100))}}
}}

type slow struct{ pace pace }

func (s *slow) serve(x *exchange) {
	x.read(&s.pace)
	x.keep()
	x.answer()
}

// lateness is how long after its instant a reader may come and still go on as if
// it had come in time. Without that, each timer that is a little late would cost
// bandwidth.
const lateness = 50 * time.Millisecond

// A pace makes a bandwidth out of reads: who has read n bytes waits until these
// have had their time, one reader after the other.
type pace struct {
	bandwidth float64 // bytes a second
	piece     int     // the most to read at once: a hundredth of a second

	mu    sync.Mutex // protects the two below
	start time.Time  // since when bytes came without a pause
	bytes int64      // how many did
}

// take returns until when n bytes, read at the instant t, take their time.
func (p *pace) take(n int, t time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.Sub(p.end()) > lateness {
		p.start, p.bytes = t, 0
	}
	// Counted from the start, so that rounding does not add up.
	p.bytes += int64(n)
	return p.end()
}

func (p *pace) end() time.Time {
	return p.start.Add(time.Duration(float64(p.bytes) / p.bandwidth * float64(time.Second)))
}
