package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/throttle"
)

// idleServer is a server that closes connections which nothing was sent on for so long, seen from
// 80 ms away.
type idleServer struct {
	idle    time.Duration
	header  http.Header // of each answer
	refuses int         // every so many requests are refused, for two seconds
	trip    time.Duration
	tls     bool
	http2   bool // by TLS
	leaves  int  // after every so many answers

	requests, conns atomic.Int64
}

// with does a run of so many files against the server.
func (s *idleServer) with(t *testing.T, files int, do func(w *world)) {
	onFakeTime(t, files, nil, func(w *world) {
		l := memnet.Listen()
		server := &http.Server{
			IdleTimeout: s.idle,
			Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				for name, values := range s.header {
					rw.Header()[name] = values
				}
				if n := s.requests.Add(1); s.refuses > 0 && n%int64(s.refuses) == 0 {
					rw.Header().Set("Retry-After", "2")
					rw.WriteHeader(http.StatusTooManyRequests)
					return
				}
				if s.leaves > 0 && s.requests.Load()%int64(s.leaves) == 0 {
					rw.Header().Set("Connection", "close") // with HTTP/2, net/http says GOAWAY
				}
				accept(rw, r, 5*time.Millisecond)
			}),
			ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					s.conns.Add(1)
				}
			},
		}
		if s.tls || s.http2 {
			a := newAuthority(t)
			server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{a.issue(t,
				&x509.Certificate{DNSNames: []string{"h.example"}})}}
			w.Network.TLS, w.Network.HTTP2 = &tls.Config{RootCAs: a.pool}, s.http2
			w.from("https://h.example/{path}",
				source.Options{Paths: []string{filepath.Dir(w.firstFile())},
					Method: http.MethodPost})
			go server.ServeTLS(l, "", "")
		} else {
			go server.Serve(l)
		}
		defer server.Close()
		var wait func()
		w.Network.Dial, wait = distant(l.DialContext, s.trip)
		defer wait()
		do(w)
	})
}

// [idle connection] A request that may not be repeated does not go out on a connection that the
// server may be about to close.
func TestIdleTimeoutOfTheServer(t *testing.T) {
	for name, row := range map[string]struct {
		idle   time.Duration
		paced  bool
		header http.Header
	}{
		"a pause as long":     {idle: 2 * time.Second},
		"an interval as long": {idle: 2 * time.Second, paced: true},
		"five seconds, told": {idle: 5 * time.Second, paced: true,
			header: http.Header{"Keep-Alive": {"timeout=5, max=100"}}},
		"five seconds, not told": {idle: 5 * time.Second, paced: true},
		"one second, told": {idle: time.Second, paced: true,
			header: http.Header{"Keep-Alive": {"timeout=1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 10 {
				s := &idleServer{idle: row.idle, header: row.header, trip: 80 * time.Millisecond}
				s.with(t, 20, func(w *world) {
					w.method(http.MethodPost)
					if !row.paced {
						s.refuses = 12
						w.Limits = throttle.Limits{InFlight: 8, Fixed: true}
					} else {
						// The answer takes a round trip, so that is when a connection is idle from.
						off := time.Duration(i-5) * 20 * time.Millisecond
						w.Limits.Rate = rate.Every(row.idle + 85*time.Millisecond + off)
					}
					w.ended(w.run(), exit.Delivered, 20, 0, 0, 0, 0)
				})
			}
		})
	}
}

// A steady pace costs few new connections, and a request that may be repeated none.
func TestConnectionsAreKept(t *testing.T) {
	for _, row := range []struct {
		method string
		rate   rate.Limit
		header http.Header
		tls    bool
		files  int
		most   int64 // new connections
	}{
		{http.MethodPost, 1, nil, false, 60, 1},
		{http.MethodPost, 1, nil, true, 60, 1},
		{http.MethodPost, 10, nil, false, 200, 2},
		{http.MethodPost, 10, nil, true, 200, 5}, // the handshake takes two round trips more
		// as many as leave before the first are connected and answered
		{http.MethodPost, 200, nil, false, 800, 60},
		{http.MethodPost, 200, nil, true, 800, 90},
		{http.MethodPost, .5, nil, false, 20, 20},
		{http.MethodPost, .5, http.Header{"Keep-Alive": {"timeout=5"}}, false, 20, 2},
		{http.MethodPut, 10, nil, false, 200, 2},
		{http.MethodPut, 200, nil, false, 800, 60},
		{http.MethodPut, .1, nil, false, 20, 1},
		{http.MethodPut, .5, nil, false, 20, 1},
	} {
		s := &idleServer{idle: 75 * time.Second, trip: 80 * time.Millisecond, header: row.header,
			tls: row.tls}
		s.with(t, row.files, func(w *world) {
			if !row.tls { // else it is a POST
				w.method(row.method)
			}
			w.Limits.Rate = row.rate
			w.ended(w.run(), exit.Delivered, int64(row.files), 0, 0, 0, 0)
			if n := s.conns.Load(); n > row.most {
				t.Errorf("%s at %v/s: %d new connections for %d files", row.method, row.rate, n,
					row.files)
			}
		})
	}
}

// The same with HTTP/2, where a server says by GOAWAY that it takes nothing more on a connection.
func TestGoAway(t *testing.T) {
	for name, row := range map[string]struct {
		pace   time.Duration
		leaves int
	}{
		"an interval as long as the idle timeout": {2 * time.Second, 0},
		"after each answer":                       {time.Second, 1},
		"with several under way":                  {20 * time.Millisecond, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 10 {
				s := &idleServer{idle: 2 * time.Second, leaves: row.leaves,
					trip: 80 * time.Millisecond, http2: true}
				s.with(t, 40, func(w *world) {
					w.Limits.Rate = rate.Every(row.pace + time.Duration(i-5)*row.pace/50)
					w.ended(w.run(), exit.Delivered, 40, 0, 0, 0, 0)
					if n := s.conns.Load(); n > 40 {
						t.Errorf("%d connections", n)
					}
				})
			}
		})
	}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// distant returns a dialer that reaches the same server from afar: whatever one side does, the
// other side sees half a round trip later. The goroutines that carry the bytes end with their
// connection; wait returns when all have.
func distant(near dialer, roundTrip time.Duration) (far dialer, wait func()) {
	var carriers sync.WaitGroup
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		time.Sleep(roundTrip)
		there, err := near(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		l := memnet.Listen()
		defer l.Close()
		ours, err := l.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		middle, err := l.Accept()
		if err != nil {
			return nil, err
		}
		carriers.Go(func() { carry(there.(*memnet.Conn), middle.(*memnet.Conn), roundTrip/2) })
		carriers.Go(func() { carry(middle.(*memnet.Conn), there.(*memnet.Conn), roundTrip/2) })
		return ours, nil
	}, carriers.Wait
}

// carry does to one connection what happens at another one, later.
func carry(to, from *memnet.Conn, later time.Duration) {
	type event struct {
		at   time.Time
		data []byte
		err  error
	}
	events := make(chan event, 1024)
	go func() {
		defer close(events)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			events <- event{time.Now().Add(later), b[:n], err}
			if err != nil {
				return
			}
		}
	}()
	for e := range events {
		time.Sleep(time.Until(e.at))
		_, err := to.Write(e.data)
		switch {
		case e.err == nil && err == nil:
		case err != nil: // nobody is there any more: what comes after is answered by a reset
			time.Sleep(later)
			_ = from.Reset()
		case errors.Is(e.err, io.EOF):
			_ = to.CloseWrite()
		default:
			_ = to.Reset()
		}
	}
}

const limit = time.Minute

// A server that takes a request and says nothing more costs one limit.
func TestStallEndsAttempt(t *testing.T) {
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-r.Context().Done()
	}, func(w *world) {
		w.Attempts = 1
		s := w.run()
		w.ended(s, exit.Items, 0, 1, 0, 0, 0)
		if w.since() != limit || !strings.Contains(errorsOf(s),
			"the whole file was sent, and no answer came for 1 m: if the server takes longer, "+
				"raise --stall-timeout") {
			t.Errorf("after %v: %s", w.since(), errorsOf(s))
		}
	})
}

// Neither a slow server nor our own bandwidth is a stall, however many share it.
func TestSlowUploadsAreDelivered(t *testing.T) {
	onFakeTime(t, 5, func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != 40<<10 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		w.WriteHeader(http.StatusCreated)
	}, func(w *world) {
		dir := filepath.Dir(w.firstFile())
		for it := range w.Source.Items() {
			if err := os.WriteFile(it.Path, make([]byte, 40<<10), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.from(w.To, source.Options{Paths: []string{dir}})
		w.Limits = throttle.Limits{InFlight: 5, Bandwidth: 256}
		w.Attempts = 1
		s := w.run()
		w.ended(s, exit.Delivered, 5, 0, 0, 0, 0)
		if s.Requests.Sent != 5 {
			t.Errorf("%d requests", s.Requests.Sent)
		}
	})
}
