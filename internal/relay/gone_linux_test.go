package relay

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// A request is not sent whose client goes away while its large body waits to be read. Only a real
// connection shows that.
func TestGoneBehindBody(t *testing.T) {
	came, free := make(chan string, 10), make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		came <- req.URL.Path
		<-free
	}))
	defer target.Close()
	r := New(Options{Targets: []Target{{URL: parse(t, target.URL)}},
		Limits: throttle.Limits{InFlight: 1, Fixed: true}, QueueWait: time.Minute,
		QueueRequests: 10, QueueBytes: 1 << 30, Spool: &spool.Store{Dir: t.TempDir()},
		StopTimeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(t, err)
	soft, stop := context.WithCancel(t.Context())
	ended := make(chan Stats)
	go func() {
		stats, _ := r.Serve(t.Context(), soft, l)
		ended <- stats
	}()
	send := func(head, body string) *net.TCPConn {
		conn, err := net.Dial("tcp", l.Addr().String())
		test.OK(t, err)
		io.WriteString(conn, head+" HTTP/1.1\r\nHost: localhost\r\n"+body)
		return conn.(*net.TCPConn)
	}
	until := func(what string, is func(Stats) bool) {
		for deadline := time.Now().Add(20 * time.Second); !is(r.Stats(time.Now())); {
			if time.Now().After(deadline) {
				t.Errorf("%s: %+v", what, r.Stats(time.Now()))
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	first := send("PUT /first", "Content-Length: 0\r\n\r\n")
	defer first.Close()
	<-came
	large := "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 90_000)
	closes, resets := send("PUT /closes", large), send("POST /resets", large)
	stays := send("PUT /stays", large)
	defer stays.Close()
	until("they wait", func(s Stats) bool { return s.Waiting == 3 })
	closes.Close()
	test.OK(t, resets.SetLinger(0))
	resets.Close()
	until("two have gone", func(s Stats) bool { return s.Waiting == 1 && s.Lost == 2 })
	close(free)
	if path := <-came; path != "/stays" {
		t.Errorf("%s was sent", path)
	}
	io.WriteString(stays, strings.Repeat("x", 10_000))
	until("all are answered", func(s Stats) bool { return s.Active == 0 })
	stop()
	if s := <-ended; s.Answered != 2 || s.Lost != 2 || s.Sent != 2 {
		t.Errorf("%+v", s)
	}
}
