package relay

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/hosts"
	"github.com/penstock/penstock/internal/spool"
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
