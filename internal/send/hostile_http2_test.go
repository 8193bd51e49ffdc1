package send

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/internal/wire"
)

// Frames of HTTP/2 (RFC 9113, section 6), and flags.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameContinuation = 9

	flagEnd        = 1 // of the stream; of settings and pings: an answer
	flagEndHeaders = 4
)

// An h2 is a server's end of a connection of HTTP/2, below all manners.
type h2 struct {
	mu sync.Mutex // keeps frames whole
	net.Conn
}

func frameHead(length int, kind, flags byte, stream uint32) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(length)<<8)
	return binary.BigEndian.AppendUint32(append(head[:3], kind, flags), stream)
}

func (c *h2) frame(kind, flags byte, stream uint32, payload string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Write(append(frameHead(len(payload), kind, flags, stream), payload...))
	return err
}

// serve reads what the client sends until it is gone, says how long it will keep pinging, and calls
// request in a goroutine for each request's headers.
func (c *h2) serve(settings string, pings bool, request func(stream uint32)) {
	var requests sync.WaitGroup
	defer requests.Wait()
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	_ = c.frame(frameSettings, 0, 0, settings)
	if pings {
		requests.Go(func() {
			for c.frame(framePing, 0, 0, "12345678") == nil {
				time.Sleep(limit / 4)
			}
		})
	}
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(append([]byte{0}, head[:3]...)))
		if _, err := io.ReadFull(c, payload); err != nil {
			return
		}
		switch kind, flags := head[3], head[4]; {
		case kind == frameSettings && flags&flagEnd == 0:
			_ = c.frame(frameSettings, flagEnd, 0, "")
		case kind == framePing && flags&flagEnd == 0 && pings:
			_ = c.frame(framePing, flagEnd, 0, string(payload))
		case kind == frameHeaders:
			stream := binary.BigEndian.Uint32(head[5:])
			requests.Go(func() { request(stream) })
		}
	}
}

// Header blocks (RFC 7541): an entry of the static table, or a name of it with a value.
const (
	status200 = "\x88"
	status103 = "\x08\x03103"
	status400 = "\x8c"
)

func field(name, value string) string {
	text := func(s string) string {
		if len(s) < 127 {
			return string(rune(len(s))) + s
		}
		b := []byte{127}
		n := len(s) - 127
		for ; n >= 128; n >>= 7 {
			b = append(b, byte(n)|128)
		}
		return string(append(b, byte(n))) + s
	}
	return "\x00" + text(name) + text(value)
}

// With HTTP/2 a connection can be alive while a request is not.
func TestHTTP2IsBounded(t *testing.T) {
	noWindow := "\x00\x04\x00\x00\x00\x00"
	var stop atomic.Bool
	var requests atomic.Int64
	endless := func(send func() error, every time.Duration) {
		for !stop.Load() && send() == nil {
			time.Sleep(every)
		}
	}
	for _, row := range []struct {
		name     string
		settings string
		silent   bool // no pings either
		request  func(c *h2, stream uint32)
		accepted bool
		deferred bool
		after    time.Duration
		says     string
	}{
		{name: "accepts", request: func(c *h2, stream uint32) {
			_ = c.frame(frameHeaders, flagEndHeaders|flagEnd, stream, status200)
		}, accepted: true},
		{name: "silent", silent: true, request: func(*h2, uint32) {}, after: limit,
			says: "the whole file was sent, and no answer came for 1 m"},
		{name: "only pings", request: func(*h2, uint32) {}, after: limit,
			says: "the whole file was sent, and no answer came for 1 m"},
		{name: "has no room for the body", settings: noWindow, request: func(*h2, uint32) {},
			after: limit, says: "for 1 m"},
		{name: "drips a frame", silent: true, request: func(c *h2, stream uint32) {
			_, _ = c.Write(frameHead(100, frameHeaders, flagEndHeaders, stream))
			endless(func() error { _, err := c.Write([]byte{0x88}); return err }, limit/2)
		}, after: limit, says: "the whole file was sent, and no answer came for 1 m"},
		{name: "interim answers without end", request: func(c *h2, stream uint32) {
			endless(func() error {
				return c.frame(frameHeaders, flagEndHeaders, stream, status103)
			}, 0)
		}, says: "header list too large"},
		{name: "dripping interim answers", request: func(c *h2, stream uint32) {
			endless(func() error {
				return c.frame(frameHeaders, flagEndHeaders, stream, status103)
			}, limit/2)
		}, after: limit, says: "the whole file was sent, and no answer came for 1 m"},
		{name: "headers without end", request: func(c *h2, stream uint32) {
			_ = c.frame(frameHeaders, 0, stream, status200)
			endless(func() error {
				return c.frame(frameContinuation, 0, stream, strings.Repeat(field("a", ""), 2000))
			}, 0)
		}, says: "PROTOCOL_ERROR"},
		{name: "long header", request: func(c *h2, stream uint32) {
			block := status200 + field("x-a", strings.Repeat("a", 200<<10))
			_ = c.frame(frameHeaders, 0, stream, block[:16<<10])
			for block = block[16<<10:]; len(block) > 16<<10; block = block[16<<10:] {
				_ = c.frame(frameContinuation, 0, stream, block[:16<<10])
			}
			_ = c.frame(frameContinuation, flagEndHeaders, stream, block)
		}, says: "COMPRESSION_ERROR"},
		{name: "body without end", request: func(c *h2, stream uint32) {
			_ = c.frame(frameHeaders, flagEndHeaders, stream, status200)
			for range 200 { // more than its window allows, were it read
				if c.frame(frameData, 0, stream, strings.Repeat("a", 16<<10)) != nil {
					return
				}
			}
		}, accepted: true},
		{name: "dripping body", request: func(c *h2, stream uint32) {
			_ = c.frame(frameHeaders, flagEndHeaders, stream, status200)
			endless(func() error { return c.frame(frameData, 0, stream, "a") }, time.Second/4)
		}, accepted: true, after: reply.MaxTime},
		{name: "dripping refusal", request: func(c *h2, stream uint32) {
			_ = c.frame(frameHeaders, flagEndHeaders, stream, status400)
			endless(func() error { return c.frame(frameData, 0, stream, "a") }, time.Second/4)
		}, after: reply.MaxTime, says: "400 Bad Request: a"},
		{name: "resets the stream", request: func(c *h2, stream uint32) {
			_ = c.frame(frameReset, 0, stream, "\x00\x00\x00\x02")
		}, says: "INTERNAL_ERROR"},
		{name: "refuses the stream", request: func(c *h2, stream uint32) {
			_ = c.frame(frameReset, 0, stream, "\x00\x00\x00\x07")
			// nothing of it was processed, as with 503
		}, deferred: true, says: "REFUSED_STREAM"},
		{name: "goes away", request: func(c *h2, stream uint32) {
			if n := requests.Add(1); n > 2000 {
				t.Errorf("requests have no end")
				return
			}
			_ = c.frame(frameGoAway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00")
		}, deferred: true, says: "GOAWAY"}, // the same
	} {
		stop.Store(false)
		var config *tls.Config
		onRawServer(t, 1, func(c net.Conn) {
			conn := &h2{Conn: tls.Server(c, config)}
			conn.serve(row.settings, !row.silent, func(stream uint32) { row.request(conn, stream) })
		}, func(w *world) {
			config = w.https("h2")
			name := filepath.Join(t.TempDir(), "file")
			test.OK(t, os.WriteFile(name, bytes.Repeat([]byte("x"), 60<<10), 0o600))
			w.from("https://h.example/{path}", source.Options{Paths: []string{name}})
			w.Attempts, w.GiveUpAfter = 1, 10*time.Minute
			after, jitter := row.after, time.Duration(0)
			s := w.run()
			stop.Store(true)
			switch {
			case row.accepted:
				w.ended(s, exit.Delivered, 1, 0, 0, 0, 0)
			case row.deferred:
				w.ended(s, exit.Unavailable, 0, 0, 0, 1, 0)
				after, jitter = w.GiveUpAfter, 5*time.Minute
			default:
				w.ended(s, exit.Items, 0, 1, 0, 0, 0)
			}
			if w.since() < after || w.since() > after+jitter ||
				!strings.Contains(errorsOf(s), row.says) {
				t.Errorf("%s: after %v: %s", row.name, w.since(), errorsOf(s))
			}
		})
	}
}

// A request that waits for its turn, or for bandwidth, is not waiting for the server.
func TestHTTP2WaitsAreNoStall(t *testing.T) {
	var config *tls.Config
	onRawServer(t, 1, func(c net.Conn) {
		conn := &h2{Conn: tls.Server(c, config)}
		conn.serve("", true, func(stream uint32) {
			time.Sleep(6*limit + limit/2) // the body comes meanwhile
			_ = conn.frame(frameHeaders, flagEndHeaders|flagEnd, stream, status200)
		})
	}, func(w *world) {
		config = w.https("h2")
		base := &wire.Transport{Network: w.Network, MaxIdle: 1}
		defer base.CloseIdleConnections()
		ctx := httptrace.WithClientTrace(w.Context(),
			&httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { time.Sleep(2 * limit) }})
		req, err := http.NewRequestWithContext(ctx, "PUT", "https://h.example/",
			waiting{bytes.NewReader([]byte("ab")), 2 * limit})
		test.OK(t, err)
		resp, err := base.RoundTrip(req)
		if err != nil {
			t.Fatalf("after %v: %v", w.since(), err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.ProtoMajor != 2 || w.since() != 8*limit+limit/2 {
			t.Errorf("%s %s after %v", resp.Proto, resp.Status, w.since())
		}
	})
}

// waiting is read byte by byte, each after a wait, as is its end.
type waiting struct {
	io.Reader
	wait time.Duration
}

func (r waiting) Read(p []byte) (int, error) {
	time.Sleep(r.wait)
	return r.Reader.Read(p[:1])
}

// A server that refuses all streams is given up as any other, although net/http sends them again.
func TestGiveUpOnRefusedStreams(t *testing.T) {
	var config *tls.Config
	var requests atomic.Int64
	onRawServer(t, 40, func(c net.Conn) {
		conn := &h2{Conn: tls.Server(c, config)}
		conn.serve("", true, func(stream uint32) {
			requests.Add(1)
			_ = conn.frame(frameReset, 0, stream, "\x00\x00\x00\x07")
		})
	}, func(w *world) {
		config = w.https("h2")
		dir := t.TempDir()
		for i := range 40 {
			writeFile(t, filepath.Join(dir, strconv.Itoa(i)), "x")
		}
		w.from("https://h.example/{path}", source.Options{Paths: []string{dir}})
		w.Limits.InFlight = 16
		w.GiveUpAfter = 15 * time.Second
		s := w.run()
		if s.ExitStatus != exit.Unavailable || s.Items.Deferred+s.Items.Remaining != 40 ||
			w.since() > 30*time.Second {
			t.Errorf("exit status %d after %v: %+v", s.ExitStatus, w.since(), s.Items)
		}
		if n := requests.Load(); n > 16+12 {
			t.Errorf("%d requests", n)
		}
	})
}
