package lab

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "slow", "")
		mib := strings.Repeat("x", 1<<20)
		if a := b.put("/a", mib); a.status != 201 || a.after != time.Second {
			t.Errorf("1 MiB alone: %d after %v; want 1s", a.status, a.after)
		}
		b.at(10 * time.Second)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				a := b.put("/b", mib)
				if a.status != 201 || a.after < 12900*time.Millisecond || a.after > 13*time.Second {
					t.Errorf("one of three: %d after %v; want them together to take 3s", a.status, a.after)
				}
			})
		}
		wg.Wait()
		if a := b.put("/c", ""); a.after != 13*time.Second {
			t.Errorf("an empty body ended at %v, want 13s", a.after)
		}
	})
}

// Readers that come a little late lose no bandwidth, those that pause save
// none up.
func TestPaceLate(t *testing.T) {
	p := pace{bandwidth: 1000}
	start := time.Now()
	now := start
	for range 100 {
		now = p.take(10, now).Add(time.Millisecond)
	}
	if got := now.Sub(start); got != 1001*time.Millisecond {
		t.Errorf("1000 bytes took %v, want 1s and the last one's lateness", got)
	}
	now = now.Add(time.Second)
	if got := p.take(10, now).Sub(now); got != 10*time.Millisecond {
		t.Errorf("after a pause 10 bytes take %v, want 10ms", got)
	}
}
