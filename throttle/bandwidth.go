package throttle

import (
	"context"
	"io"

	"golang.org/x/time/rate"
)

// A Bandwidth is one limit of bytes a second over all the readers that share it. Readers take turns
// chunk by chunk, so each gets a fair part.
//
// It is safe for concurrent use. Use [NewBandwidth]; it must not be copied.
type Bandwidth struct {
	line  *line
	waits *waits // counts the callers that wait; may be nil
}

// burstBytes is how much a bucket of bytes gathers: 20 ms' worth, so that the time which a reader
// spends with its bytes, or sleeps longer than it should, is not lost, and no less than what makes
// a turn worth while.
func burstBytes(r rate.Limit) int { return int(min(max(float64(r)/50, 512), 1<<30)) }

// chunk is how many bytes a reader moves in a turn: few at a slow rate, so that it flows steadily.
func chunk(r rate.Limit) int { return min(burstBytes(r), 32<<10) }

// NewBandwidth returns a limit of that many bytes a second. 0 stops all readers, [rate.Inf] is no
// limit; a rate that is negative or not a number is taken as 0.
func NewBandwidth(bytesPerSecond rate.Limit) *Bandwidth {
	r := validRate(bytesPerSecond)
	return &Bandwidth{line: newLine(r, burstBytes(r))}
}

// SetRate sets the limit in bytes a second, for transfers under way as well.
func (b *Bandwidth) SetRate(bytesPerSecond rate.Limit) {
	r := validRate(bytesPerSecond)
	b.line.setBurst(burstBytes(r))
	b.line.setRate(r)
}

// Reader returns a reader of r whose bytes come no faster than the limit. A Read fails with the
// cause of ctx when that ends while it waits.
func (b *Bandwidth) Reader(ctx context.Context, r io.Reader) io.Reader {
	return &limitedReader{ctx: ctx, r: r, b: b}
}

type limitedReader struct {
	ctx context.Context
	r   io.Reader
	b   *Bandwidth
}

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(len(p), chunk(l.b.line.rate()))])
	if n < 1 {
		return n, err
	}
	if _, ok := l.b.line.takeN(n); ok {
		return n, err
	}
	if l.b.waits != nil {
		l.b.waits.bandwidth(1)
		defer l.b.waits.bandwidth(-1)
	}
	if _, wait := l.b.line.waitN(l.ctx, n); wait != nil {
		return 0, wait
	}
	return n, err
}

// limited reports whether there is a limit now.
func (b *Bandwidth) limited() bool { return b.line.rate() != rate.Inf }
