package lab

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestSlow(t *testing.T) {
	bubble(t, "slow", "", func(t *testing.T, b *bench) {
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
					t.Errorf("one of three: %d after %v; want them together to take 3s", a.status,
						a.after)
				}
			})
		}
		wg.Wait()
		if a := b.put("/c", ""); a.after != 13*time.Second {
			t.Errorf("an empty body ended at %v, want 13s", a.after)
		}
	})
}

// Where each connection has its own bandwidth, three take as long as one.
func TestSlowPerConnection(t *testing.T) {
	bubble(t, "slow", "per-connection=true", func(t *testing.T, b *bench) {
		mib := strings.Repeat("x", 1<<20)
		for i := range 2 { // the second time on the same connections
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					want := time.Duration(i+1) * time.Second
					if a := b.put("/a", mib); a.status != 201 || a.after != want {
						t.Errorf("%d after %v, want %v", a.status, a.after, want)
					}
				})
			}
			wg.Wait()
		}
	})
}

// The kernel is to acknowledge little more than what was read.
func TestSlowReceiveBuffer(t *testing.T) {
	for preset, want := range map[string]int{"slow": receiveBuffer, "strict": 0} {
		s, l := newLab(t, preset, ""), &buffering{Listener: listenTCP(t)}
		s.Start(l)
		resp, err := putTCP(t, l, "")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		s.Close()
		if got := int(l.size.Load()); got != want {
			t.Errorf("%s: a receive buffer of %d bytes, want %d", preset, got, want)
		}
	}
}

// A buffering listener notes the receive buffer that its connections are told to have.
type buffering struct {
	net.Listener
	size atomic.Int64
}

func (l *buffering) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &bufferedConn{c, l}, err
}

type bufferedConn struct {
	net.Conn
	l *buffering
}

func (c *bufferedConn) SetReadBuffer(n int) error {
	c.l.size.Store(int64(n))
	return nil
}

// Readers that come a little late lose no bandwidth, those that pause save none up.
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
