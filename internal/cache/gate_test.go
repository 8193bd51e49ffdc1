package cache

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/penstock/penstock/internal/test"
)

// A slowBody comes in pieces that the test lets go. It ends with an error if its context does.
type slowBody struct {
	ctx    context.Context
	pieces chan string
	left   string
	end    error
}

func (b *slowBody) Read(p []byte) (int, error) {
	for b.left == "" {
		select {
		case piece, more := <-b.pieces:
			if !more {
				return 0, b.end
			}
			b.left = piece
		case <-b.ctx.Done():
			return 0, context.Cause(b.ctx)
		}
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *slowBody) Close() error { return nil }

// A gate is an origin whose answers come when the test says so.
type gate struct {
	origin
	heads  chan *http.Response // the next answers
	pieces chan string         // of their bodies
	end    error
}

func newGate() *gate {
	g := &gate{heads: make(chan *http.Response), pieces: make(chan string), end: io.EOF}
	g.answer = func(req *http.Request) (*http.Response, error) {
		select {
		case resp := <-g.heads:
			if resp == nil {
				return nil, errDown
			}
			if resp.Body == nil {
				resp.Body = &slowBody{ctx: req.Context(), pieces: g.pieces, end: g.end}
			}
			return resp, nil
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		}
	}
	return g
}

// head makes an answer whose body comes later. Its length is unknown if below zero.
func head(status int, length int64, header string) *http.Response {
	resp, _ := says(status, header, "")(request("GET", target, ""))
	resp.Body, resp.ContentLength = nil, length
	return resp
}

// A client sends one request and reads its answer piece by piece.
type client struct {
	mu     sync.Mutex // for standing, which looks without having waited
	cancel context.CancelFunc
	resp   *http.Response
	err    error
	body   strings.Builder
	ended  error // of the body
	done   bool
}

func start(c *Transport, header string) *client {
	cl := &client{}
	req := request("GET", target, header)
	var ctx context.Context
	ctx, cl.cancel = context.WithCancel(req.Context())
	go func() {
		defer func() { cl.done = true }()
		resp, err := c.RoundTrip(req.WithContext(ctx))
		cl.mu.Lock()
		cl.resp, cl.err = resp, err
		cl.mu.Unlock()
		if err != nil {
			return
		}
		_, cl.ended = io.Copy(&cl.body, cl.resp.Body)
		cl.resp.Body.Close()
	}()
	synctest.Wait()
	return cl
}

func (cl *client) standing() string {
	synctest.Wait()
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.resp == nil {
		return "waits"
	}
	return strings.TrimPrefix(strings.Join(cl.resp.Header["Cache-Status"], ", "), "penstock; ")
}

// send lets the next answer begin, or a piece of a body come.
func send[T any](ch chan T, v T) {
	ch <- v
	synctest.Wait()
}

func bubble(t *testing.T, f func(t *testing.T, g *gate, c *Transport)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := &Transport{Base: g, MaxBytes: 1 << 20}
		f(t, g, c)
		test.OK(t, c.Close())
		want(t, "reserved at the end", c.mu.reserved, int64(0))
		want(t, "flights at the end", len(c.mu.flights), 0)
	})
}

const fresh = "Cache-Control: max-age=60"
