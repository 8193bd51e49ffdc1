package cache

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/test"
)

// sentNow does what net/http does when a request gets a connection.
func sentNow(req *http.Request) {
	httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{})
}

// What is stored stays within the bound, whatever comes.
func TestBound(t *testing.T) {
	for _, size := range []int{0, 351, 5000, 60_000} {
		synctest.Test(t, func(t *testing.T) {
			o := &origin{answer: says(200, fresh, strings.Repeat("x", size))}
			c := newCache(o)
			defer c.Close()
			for i := range 3000 {
				askFor(t, c, request("GET", target+"?"+strconv.Itoa(i), ""))
				if bytes := c.Stats().Bytes; bytes > c.MaxBytes*3/4 {
					t.Fatalf("%d bytes after %d answers of %d", bytes, i, size)
				}
			}
			s := c.Stats()
			if s.Bytes < c.MaxBytes/2 || s.Entries < 1 || s.Entries*size > int(c.MaxBytes) {
				t.Errorf("answers of %d: %+v", size, s)
			}
		})
	}
}

// What is being recorded has a bound too; what it has no room for streams.
func TestBoundOfRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := &Transport{Base: g, MaxBytes: 1 << 20}
		var clients sync.WaitGroup
		const n, size = 20, 60_000
		for i := range n {
			clients.Go(func() {
				got := read(c.RoundTrip(request("GET", target+"?"+strconv.Itoa(i), "")))
				test.Check(t, got.err)
				if len(got.body) != size {
					t.Errorf("got %d bytes", len(got.body))
				}
			})
		}
		for range n {
			send(g.heads, head(200, size, fresh))
		}
		want(t, "reserved", c.mu.reserved, int64(4*size))
		for range n {
			g.pieces <- strings.Repeat("x", size)
		}
		close(g.pieces)
		clients.Wait()
		synctest.Wait()
		want(t, "reserved", c.mu.reserved, int64(0))
		want(t, "stored", c.Stats().Entries, 4)
		test.OK(t, c.Close())
	})
}

// Under a reverse proxy and net/http, many clients at once are one request to the server.
func TestUnderAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		up := memnet.Listen()
		answer := func(w http.ResponseWriter, r *http.Request) {
			asked++
			time.Sleep(time.Second)
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, strings.Repeat("x", 50_000))
		}
		server := &http.Server{Handler: http.HandlerFunc(answer)}
		go server.Serve(up)
		transport := &http.Transport{DialContext: up.DialContext}
		c := &Transport{Base: transport, MaxBytes: 1 << 20}
		to := &url.URL{Scheme: "http", Host: "server.example"}
		down := memnet.Listen()
		proxy := &http.Server{Handler: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: c,
		}}
		go proxy.Serve(down)
		clients := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context,
			network, address string) (net.Conn, error) {
			return down.DialContext(ctx, network, address)
		}}}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				resp, err := clients.Get("http://proxy.example/thing")
				test.Check(t, err)
				body, err := io.ReadAll(resp.Body)
				test.Check(t, err)
				resp.Body.Close()
				want(t, "length", len(body), 50_000)
			})
		}
		all.Wait()
		want(t, "asked", asked, 1)
		want(t, "collapsed", c.Stats().Collapsed, int64(19))
		clients.CloseIdleConnections()
		c.CloseIdleConnections()
		test.OK(t, proxy.Shutdown(t.Context()))
		test.OK(t, server.Shutdown(t.Context()))
		test.OK(t, c.Close())
	})
}

func BenchmarkHit(b *testing.B) {
	o := &origin{answer: says(200, "Cache-Control: max-age=60000 | Content-Type: text/plain | "+
		"Date: now | Etag: \"abc\" | Server: x", strings.Repeat("x", 351))}
	c := &Transport{Base: o, MaxBytes: 1 << 26}
	defer c.Close()
	askFor(b, c, request("GET", target, ""))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		req := request("GET", target, "Accept: */* | User-Agent: x")
		var buf [512]byte
		for pb.Next() {
			resp, err := c.RoundTrip(req)
			test.OK(b, err)
			for err == nil {
				_, err = resp.Body.Read(buf[:])
			}
			resp.Body.Close()
		}
	})
}
