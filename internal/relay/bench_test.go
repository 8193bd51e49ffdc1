package relay

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/hosts"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/test"
)

// BenchmarkPass measures what a request costs that is passed on, beside a bare ReverseProxy,
// without the network.
func BenchmarkPass(b *testing.B) {
	to, _ := url.Parse("http://api.example.com")
	answer := roundTrip(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Proto: "HTTP/1.1",
			Header:        http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"2"}},
			ContentLength: 2, Body: io.NopCloser(strings.NewReader("ok")), Request: req}, nil
	})
	r := New(Options{
		Targets: []Target{{URL: to}}, Spool: new(spool.Store), Log: slog.New(slog.DiscardHandler),
		QueueWait: time.Minute, QueueRequests: 10, QueueBytes: 1 << 20, Stall: time.Minute,
	})
	r.transport.Base = answer
	r.hosts = hosts.Names{"localhost"}
	proxy := &httputil.ReverseProxy{Transport: answer, BufferPool: new(buffers),
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }}
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{{"relay", r}, {"ReverseProxy", proxy}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			req := httptest.NewRequest("GET", "http://localhost/f", nil)
			req.URL.Host, req.URL.Scheme, req.Host = "", "", "localhost"
			w := &discard{}
			for b.Loop() {
				w.header = make(http.Header, 8)
				c.handler.ServeHTTP(w, req)
			}
		})
	}
}

// A roundTrip is the network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A discard is a client that looks at nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header            { return d.header }
func (*discard) Write(p []byte) (int, error)      { return len(p), nil }
func (*discard) WriteHeader(int)                  {}
func (*discard) SetWriteDeadline(time.Time) error { return nil }
func (*discard) SetReadDeadline(time.Time) error  { return nil }
func (*discard) FlushError() error                { return nil }

// BenchmarkIntake measures how many requests are stored, by connections on the loopback and on the
// disk of the working directory. The target is down.
func BenchmarkIntake(b *testing.B) {
	const conns = 64
	dir, err := os.MkdirTemp(".", "bench")
	test.OK(b, err)
	defer os.RemoveAll(dir)
	store, err := outbox.Open(b.Context(), outbox.Options{Dir: dir, MaxBytes: 1 << 40})
	test.OK(b, err)
	to, _ := url.Parse("http://127.0.0.1:9")
	r := New(Options{
		Targets: []Target{{URL: to}}, Spool: new(spool.Store), Log: slog.New(slog.DiscardHandler),
		QueueWait: time.Minute, QueueRequests: 10, QueueBytes: 1 << 20, Stall: time.Minute,
		Store: store, StoreBytes: 1 << 40, Async: []string{"POST"}, Keep: time.Hour,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(b, err)
	soft, stop := context.WithCancelCause(context.Background())
	served := make(chan error, 1)
	go func() {
		_, err := r.Serve(context.Background(), soft, l)
		served <- err
	}()
	request := []byte("POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4096\r\n\r\n" +
		strings.Repeat("x", 4096))
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	b.ResetTimer()
	for range conns {
		group.Go(func() {
			c, err := net.Dial("tcp", l.Addr().String())
			test.Check(b, err)
			defer c.Close()
			answers := bufio.NewReader(c)
			for left.Add(-1) >= 0 {
				_, err := c.Write(request)
				test.Check(b, err)
				resp, err := http.ReadResponse(answers, nil)
				test.Check(b, err)
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != http.StatusAccepted {
					b.Error(resp.Status)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "stored/s")
	b.StopTimer()
	stop(errStopping)
	test.OK(b, <-served)
}
