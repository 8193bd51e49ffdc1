package relay

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/test"
)

var large = flag.Bool("large", false, "store 100,000 requests in place of 5,000, which takes a minute")

// An outage is a network whose other end cannot be reached for a while.
type outage struct {
	until time.Time
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	tries atomic.Int64
}

func (o *outage) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if time.Now().Before(o.until) {
		o.tries.Add(1)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return o.dial(ctx, network, addr)
}

// What was stored is delivered after an outage of six hours, with few probes and little memory: it
// does not grow with what is stored.
func TestLongOutage(t *testing.T) {
	count := 5_000
	if *large {
		count = 100_000
	}
	var down outage
	var arrived atomic.Int64
	var store *outbox.Store
	dir := newStore(t)
	o := Options{Keep: time.Hour, StoreBytes: 1 << 30}
	startIn(t, parkFrom, o, func(o *Options) {
		s, err := outbox.Open(context.Background(), outbox.Options{Dir: dir})
		test.OK(t, err)
		store = s
		var next atomic.Int64
		var group sync.WaitGroup
		for range 64 {
			group.Go(func() {
				for n := next.Add(1); n <= int64(count); n = next.Add(1) {
					_, err := s.Put(outbox.Request{Client: fmt.Sprint(n % 10),
						Target: "http://target", Method: "POST", URI: fmt.Sprint("/", n),
						Header: http.Header{"Content-Type": {"text/plain"}}},
						strings.NewReader(strings.Repeat("x", 1000)))
					test.Check(t, err)
				}
			})
		}
		group.Wait()
		o.Store = s
		down.until, down.dial = time.Now().Add(6*time.Hour), o.Network.Dial
		o.Network.Dial = down.Dial
	}, func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		arrived.Add(1)
		time.Sleep(20 * time.Millisecond)
	}, func(w *world) {
		most := uint64(0)
		look := func() {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		time.Sleep(time.Hour)
		look()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		look()
		if st := store.Stats(); st.Waiting+st.Sending != int64(count) {
			t.Errorf("after the outage: %+v", st)
		}
		for range 60 {
			time.Sleep(10 * time.Second)
			if st := store.Stats(); st.Delivered == int64(count) {
				break
			}
			w.arrived() // or the test would need the memory
		}
		look()
		took := time.Since(w.begin)
		time.Sleep(time.Until(w.begin.Add(24 * time.Hour)))
		t.Logf("%d stored: %d probes, %d arrived, all after %v, at most %d MiB in use", count,
			down.tries.Load(), arrived.Load(), took, most>>20)
		if st := store.Stats(); st.Waiting+st.Sending+st.Failed+st.Unknown != 0 {
			t.Errorf("after a day: %+v", st)
		}
		if n := arrived.Load(); n != int64(count) {
			t.Errorf("%d of %d arrived", n, count)
		}
		if n := down.tries.Load(); n > 2500 {
			t.Errorf("%d probes", n)
		}
		if most > 64<<20 {
			t.Errorf("%d MiB in use", most>>20)
		}
	})
}

// A client that stores its requests does not notice an outage of ten minutes.
func TestUnnoticedOutage(t *testing.T) {
	var down outage
	var mu sync.Mutex
	got := map[string]int{}
	dir := newStore(t)
	o := Options{Keep: 24 * time.Hour, StoreBytes: 1 << 30, Async: []string{"PUT"}}
	startIn(t, parkFrom, o, func(o *Options) {
		s, err := outbox.Open(context.Background(), outbox.Options{Dir: dir})
		test.OK(t, err)
		o.Store, down.dial = s, o.Network.Dial
		o.Network.Dial = down.Dial
	}, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[req.URL.Path]++
	}, func(w *world) {
		down.until = time.Now().Add(10 * time.Minute)
		const count = 20 * 60
		for i := range count {
			begin := time.Now()
			if a := w.send("PUT", fmt.Sprint("/", i), "x"); a.status != 202 || a.took != 0 {
				t.Fatalf("%d after %v: %d after %v", i, time.Since(begin), a.status, a.took)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(got) != count {
			t.Errorf("%d of %d arrived", len(got), count)
		}
		for path, n := range got {
			if n != 1 {
				t.Errorf("%s arrived %d times", path, n)
			}
		}
	})
}
