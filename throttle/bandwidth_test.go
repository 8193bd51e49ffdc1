package throttle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// zeros is an endless source of n bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { return len(p), nil }

func TestBandwidthIsTheTotal(t *testing.T) {
	for _, r := range []float64{1000, 100_000, 10e6} {
		for _, readers := range []int{1, 7} {
			synctest.Test(t, func(t *testing.T) {
				b := NewBandwidth(rate.Limit(r))
				const seconds = 2
				size := int64(seconds*r) / int64(readers)
				begin := time.Now()
				var group sync.WaitGroup
				for range readers {
					group.Go(func() {
						n, err := io.Copy(io.Discard, b.Reader(t.Context(), zeros(size)))
						if n != size || err != nil {
							t.Errorf("%d bytes of %d, %v", n, size, err)
						}
						// They take turns, so they end together but for what was there
						// to begin with, which one of them took, and a turn or two.
						ahead := float64(burstBytes(rate.Limit(r)) + 2*chunk(rate.Limit(r)))
						early := ahead * float64(readers) / r
						if took := time.Since(begin).Seconds(); took < seconds-early-1e-3 || took > seconds {
							t.Errorf("%g B/s, %d readers: one took %gs, want %ds less %gs at most", r, readers, took, seconds, early)
						}
					})
				}
				group.Wait()
				full := float64(burstBytes(rate.Limit(r))) // there to begin with
				want := (float64(size*int64(readers)) - full) / r
				if took := time.Since(begin).Seconds(); math.Abs(took-want) > 1e-6 {
					t.Errorf("%g B/s, %d readers: took %gs, want %g", r, readers, took, want)
				}
			})
		}
	}
}

// What a single reader does between its reads costs it no rate, even when it
// takes many chunks at once and then is busy for a while.
func TestBandwidthBetweenReads(t *testing.T) {
	for _, r := range []float64{100_000, 10e6, 100e6} {
		synctest.Test(t, func(t *testing.T) {
			const busy = 15 * time.Millisecond
			b := NewBandwidth(rate.Limit(r))
			reader := b.Reader(t.Context(), zeros(1<<62))
			begin := time.Now()
			var n, since int
			buf := make([]byte, 64<<10)
			for time.Since(begin) < time.Second {
				m, err := reader.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				n, since = n+m, since+m
				if float64(since) > r*busy.Seconds() {
					since = 0
					time.Sleep(busy)
				}
			}
			took := time.Since(begin).Seconds()
			if low := r * (took - 0.02); float64(n) < low || float64(n) > r*took+float64(burstBytes(rate.Limit(r))) {
				t.Errorf("%g B/s: %d bytes in %gs, want at least %.0f", r, n, took, low)
			}
		})
	}
}

func TestBandwidthChangesLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		at := func(d time.Duration) { time.Sleep(time.Until(begin.Add(d))) }
		b := NewBandwidth(1000)
		var group sync.WaitGroup
		group.Go(func() {
			// 512 at once, 10,000 in ten seconds, none in ten, then the rest.
			n, err := io.Copy(io.Discard, b.Reader(t.Context(), zeros(512+10_000+100_000)))
			if n != 110_512 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
		at(10 * time.Second)
		b.SetRate(0)
		synctest.Wait()
		if s := b.line.stats(); s.Waiting != 1 || s.Rate != 0 || s.Granted > 10_512 || s.Granted <= 10_000 {
			t.Errorf("%+v", s)
		}
		at(20 * time.Second)
		b.SetRate(100_000)
		if got := b.line.stats().Burst; got != 2000 {
			t.Errorf("20 ms' worth is %d bytes", got)
		}
		group.Wait()
		// The bigger burst of the faster rate is not there at once.
		if took := time.Since(begin); took < 21*time.Second || took > 21*time.Second+20*time.Millisecond {
			t.Errorf("took %v", took)
		}
		b.SetRate(rate.Inf)
		if _, err := io.Copy(io.Discard, b.Reader(t.Context(), zeros(1<<20))); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 21*time.Second+20*time.Millisecond {
			t.Errorf("without a limit it waited until %v", took)
		}
	})
}

func TestBandwidthReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBandwidth(20_000)
		text := strings.Repeat("What goes in comes out. ", 1000)
		for name, r := range map[string]io.Reader{
			"plain":          strings.NewReader(text),
			"a byte at once": iotest.OneByteReader(strings.NewReader(text)),
			"data with EOF":  iotest.DataErrReader(strings.NewReader(text)),
		} {
			got, err := io.ReadAll(b.Reader(t.Context(), r))
			if string(got) != text || err != nil {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		}
		broken := errors.New("broken")
		r := io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken))
		if got, err := io.ReadAll(b.Reader(t.Context(), r)); string(got) != "abc" || err != broken {
			t.Errorf("%q, %v; want the reader's own error", got, err)
		}
		if n, err := b.Reader(t.Context(), bytes.NewReader([]byte("x"))).Read(nil); n != 0 || err != nil {
			t.Errorf("reading nothing: %d, %v", n, err)
		}
	})
}

// A reader that is cancelled leaves nothing behind for the others to wait for.
func TestBandwidthCancelledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		b := NewBandwidth(1000)
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if _, err := io.Copy(io.Discard, b.Reader(ctx, zeros(1<<30))); err != cause {
					t.Errorf("got %v, want the cause", err)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		cancel(cause)
		group.Wait()
		begin := time.Now()
		if _, err := b.Reader(t.Context(), zeros(512)).Read(make([]byte, 512)); err != nil || time.Since(begin) > 512*time.Millisecond {
			t.Errorf("the next reader: %v after %v", err, time.Since(begin))
		}
	})
}

func TestBandwidthInvalidRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, r := range []float64{math.NaN(), -1, math.Inf(-1), 0} {
			b := NewBandwidth(rate.Limit(r))
			if s := b.line.stats(); s.Rate != 0 || s.Burst != 512 {
				t.Errorf("NewBandwidth(%v) has %+v", r, s)
			}
		}
		b := NewBandwidth(rate.Limit(math.Inf(1)))
		if b.limited() || b.line.stats().Rate != rate.Inf {
			t.Errorf("without a limit: %+v", b.line.stats())
		}
	})
}
