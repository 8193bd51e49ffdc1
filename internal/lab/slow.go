package lab

import (
	"net"
	"sync"
	"time"
)

var slowPreset = preset{Preset{
	Name:    "slow",
	Summary: "reads bodies at a bandwidth",
	Params: []Param{
		{"bandwidth", "1MiB", "bytes a second"},
		{"per-connection", "false",
			"each connection has the bandwidth for itself; otherwise all of them together"},
	},
}, func(v *values) rule {
	s := &slow{bandwidth: v.bandwidth("bandwidth")}
	if !v.flag("per-connection") {
		s.shared = s.pace()
	}
	return s
}}

type slow struct {
	bandwidth float64
	shared    *pace // of all requests; if nil, each has its own
}

func (s *slow) serve(x *exchange) {
	p := s.shared
	if p == nil {
		p = s.pace() // a connection has one request at a time
	}
	x.read(p)
	x.keep()
	x.answer()
}

func (s *slow) pace() *pace {
	return &pace{bandwidth: s.bandwidth, piece: max(1, int(s.bandwidth/100))}
}

// receiveBuffer is what a slow server's connection asks the kernel for. Buffers grow to megabytes
// otherwise, and all of that would be acknowledged at once. Smaller ones lose bandwidth on
// loopback, where a packet has 64 KiB.
const receiveBuffer = 64 << 10

// accepted limits what the kernel receives on a new connection and the server has not read.
func (s *slow) accepted(c net.Conn) {
	if c, ok := c.(interface{ SetReadBuffer(int) error }); ok {
		c.SetReadBuffer(receiveBuffer)
	}
}

// lateness is how long after its instant a reader may come and still go on as if it had come in
// time. Without that, each timer that is a little late would cost bandwidth.
const lateness = 50 * time.Millisecond

// A pace makes a bandwidth out of reads: each reader waits until the bytes that it has read have
// had their time, one reader after the other.
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
