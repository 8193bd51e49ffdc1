package throttle

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/adaptive"
)

// A Permit is the right to have one request in flight. End it once with [Permit.Done] or
// [Permit.Release]; later calls do nothing. It is safe for concurrent use.
type Permit struct {
	upstream    *Upstream
	token       time.Time // when the latest was given out
	ticket      adaptive.Ticket
	wait        time.Duration // for the permit and the token
	waited      Waited        // the same by limit, if it is to be known
	landed      bool          // it has no place in flight any more
	told, ended atomic.Bool
}

// Release gives the permit back and reports nothing about how the request went. An [Upstream] whose
// limits are to be found begins with one request at a time, and stays there if every permit ends
// so.
func (p *Permit) Release() { p.Done(Feedback{}) }

// Done gives the permit back and reports to its [Upstream] how the request went. Of a [Feedback] at
// least the Signal is needed: without one Done is the same as Release.
func (p *Permit) Done(f Feedback) {
	if p.ended.Swap(true) {
		return
	}
	if !p.landed {
		defer p.upstream.landed() // though Observe may panic
	}
	p.tell(f) // before the next request goes, which it may hold up
}

// tell reports to the upstream how the request went, which still holds its permit. Only the first
// call counts.
func (p *Permit) tell(f Feedback) (n news) {
	if p.told.Swap(true) {
		return n
	}
	n = p.upstream.feed(p.ticket, f)
	if observe := p.upstream.Observe; observe != nil {
		for _, e := range n.events() {
			observe(e)
		}
		observe(Event{Kind: EventEnded, Signal: f.Signal, Latency: time.Since(p.token)})
	}
	return n
}

// Progress reports to the permit's [Upstream] how many bytes of the request's body the server has
// acknowledged so far, of how many (below 0: not known). Bytes that are only in a buffer on this
// side should not count.
//
// Requests that take many seconds for their bodies say little by their end. With their progress the
// upstream finds how many of them should be sent at once: more as long as all together have more
// bytes a second, and no more where they only take from each other. Call it about every 50 to 500
// ms while a body of more than 256 KiB is being sent; [Transport] does so by itself. It does
// nothing after [Permit.Done].
func (p *Permit) Progress(acked, size int64) {
	u := p.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	if p.told.Load() { // with the lock, as a request that has ended would stay
		return
	}
	now := time.Now()
	u.mu.controller.Progress(p.ticket, acked, size, now)
	u.steerLocked(now)
}

// Reader returns a reader of r, the request's body, whose bytes come no faster than
// [Limits.Bandwidth], and which reports their progress to the permit's [Upstream]; for that
// [Permit.Progress] is exact where the bytes that the server has acknowledged are known. A body
// that is sent once more with the same permit takes another Reader. A Read fails with the cause of
// ctx when that ends while it waits.
func (p *Permit) Reader(ctx context.Context, r io.Reader) io.Reader {
	return &permitReader{r: p.upstream.bandwidth.Reader(ctx, r), p: p}
}

type permitReader struct {
	r    io.Reader
	p    *Permit
	read atomic.Int64
}

func (r *permitReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p[:min(len(p), pieceBytes)])
	if read := r.read.Add(int64(n)); read >= longBody && read-int64(n) < longBody {
		r.p.upstream.sampler.remove(r.p) // of a reader before, whose body is sent once more
		r.p.upstream.sampler.add(&sample{r.p, -1, r.read.Load})
	}
	return n, err
}
