package throttle

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/drain"
)

// A body that is closed before its end keeps its connection if what is left is short and quick to come. Its place is free at
// once, and Close does not wait for long.
func TestTransportCloseKeepsTheConnection(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		read   int64
		conns  int32
		closed time.Duration
	}{
		{"unread", func(w http.ResponseWriter) { io.WriteString(w, "ten bytes.") }, 0, 1, 0},
		{"read in part", func(w http.ResponseWriter) { io.WriteString(w, "ten bytes.") }, 3, 1, 0},
		{"read", func(w http.ResponseWriter) { io.WriteString(w, "ten bytes.") }, 100, 1, 0},
		{"of unknown length", func(w http.ResponseWriter) { writeSlowly(w, 2, 64<<10, 0) }, 0, 1, 0},
		{"the rest comes in time", func(w http.ResponseWriter) { writeSlowly(w, 3, 1, 10*ms) }, 1, 1, 20 * ms},
		{"the rest does not", func(w http.ResponseWriter) { writeSlowly(w, 20, 1, 10*ms) }, 1, 5, drain.MaxTime},
		{"endless", func(w http.ResponseWriter) { writeSlowly(w, 1000, 64<<10, 0) }, 0, 5, 0},
		{"known to be long", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000000")
			writeSlowly(w, 1, 1, 0)
			time.Sleep(time.Second)
		}, 0, 5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, func(w http.ResponseWriter, _ *http.Request) { c.answer(w) })
				var conns atomic.Int32
				dial := s.base.DialContext
				s.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conns.Add(1)
					return dial(ctx, network, addr)
				}
				tr := &Transport{Base: s.base}
				for range 5 {
					resp, err := (&http.Client{Transport: tr}).Get("http://a/")
					if err != nil {
						t.Fatal(err)
					}
					io.CopyN(io.Discard, resp.Body, c.read)
					before := s.now()
					go func() {
						time.Sleep(time.Nanosecond)
						wantIdle(t, "closed", tr.Upstream("http://a"))
					}()
					resp.Body.Close()
					if took := s.now() - before; took != c.closed {
						t.Errorf("Close took %v, want %v", took, c.closed)
					}
					if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
						t.Error("read after Close")
					}
					time.Sleep(2 * time.Second)
				}
				if n := conns.Load(); n != c.conns {
					t.Errorf("%d connections, want %d", n, c.conns)
				}
			})
		})
	}
}

// writeSlowly writes n times size bytes, each after a while.
func writeSlowly(w http.ResponseWriter, n, size int, wait time.Duration) {
	for range n {
		time.Sleep(wait)
		w.Write(make([]byte, size))
		w.(http.Flusher).Flush()
	}
}

// Close ends a Read under way, as net/http has it.
func TestTransportCloseWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		tr := &Transport{Base: s.base}
		resp, err := (&http.Client{Transport: tr}).Get("http://a/")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			resp.Body.Close()
		}()
		if _, err := resp.Body.Read(make([]byte, 1)); err == nil || s.now() != time.Second {
			t.Errorf("%v at %v", err, s.now())
		}
		wantIdle(t, "closed", tr.Upstream("http://a"))
	})
}
