package retry

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/memnet"
)

// Frames of HTTP/2 (RFC 9113, section 6), and what they say.
const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	frameGoAway   = 7

	endStream, endHeaders, ack = 1, 4, 1

	streamRefused = "\x00\x00\x00\x07"
	streamError   = "\x00\x00\x00\x01"
	noContent2    = "\x89" // 204 in HPACK
)

// An h2conn is a server's end of a connection of HTTP/2.
type h2conn struct {
	*memnet.Conn
	last uint32 // the last stream that was opened
}

func (c *h2conn) frame(kind, flags byte, stream uint32, payload string) {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, flags), stream)
	c.Write(append(head, payload...))
}

// goAway ends the connection to all streams above the given one.
func (c *h2conn) goAway(processed uint32) {
	c.frame(frameGoAway, 0, 0, string(binary.BigEndian.AppendUint32(nil,
		processed))+"\x00\x00\x00\x00")
}

// h2server is a server whose handler is called for each request that was sent whole, with the
// numbers of the connection and of the request, from 0 on.
func h2server(t *testing.T, p Policy, request func(conn, n int, c *h2conn)) (*Client,
	*memnet.Listener) {
	l := memnet.Listen()
	var wg sync.WaitGroup
	var requests atomic.Int32
	serve := func(n int, c *h2conn) {
		defer c.Close()
		// net/http may not know yet that it is idle
		defer context.AfterFunc(t.Context(), func() { c.Close() })()
		io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
		c.frame(frameSettings, 0, 0, "")
		for {
			var head [9]byte
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return
			}
			io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:])>>8))
			switch kind, flags := head[3], head[4]; {
			case kind == frameSettings && flags == 0:
				c.frame(frameSettings, ack, 0, "")
			case kind == frameHeaders || kind == frameData:
				c.last = binary.BigEndian.Uint32(head[5:])
				if flags&endStream != 0 {
					request(n, int(requests.Add(1)-1), c)
				}
			}
		}
	}
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(n, &h2conn{Conn: c.(*memnet.Conn)}) })
		}
	})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{DialContext: l.DialContext, Protocols: protocols}
	t.Cleanup(func() { tr.CloseIdleConnections(); l.Close(); wg.Wait() })
	return &Client{HTTP: &http.Client{Transport: tr}, Policy: p}, l
}

// A request is sent again, at no attempt, where HTTP/2 says that it was not processed. That the
// connection for it is refused does not make it one that may have been accepted. Of a request
// without a body nobody learns why net/http is about to repeat it.
func TestUnprocessedRequestBeforeARestart(t *testing.T) {
	for _, row := range []struct {
		method, body string
		want         Outcome
	}{{"POST", "x", Delivered}, {"POST", "", Unknown}, {"PUT", "x", Delivered},
		{"DELETE", "", Failed}} {
		synctest.Test(t, func(t *testing.T) {
			var l *memnet.Listener
			one := exact
			one.Attempts = 1
			c, l := h2server(t, one, func(conn, _ int, c *h2conn) {
				if conn > 0 {
					c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
					return
				}
				l.Refuse(true)
				time.AfterFunc(time.Second, func() { l.Refuse(false) })
				c.goAway(0)
			})
			c.Policy.Base = time.Second
			var events []Event
			c.Observe = func(e Event) { events = append(events, e) }
			r := end(t, c, request(t, row.method, row.body))
			check(t, row.method+": outcome", r.Outcome, row.want)
			for i, e := range events[:len(events)-1] {
				if row.body != "" && e.Uncertain || e.Reason != reasonUnreachable &&
					e.Reason != reasonGoneAway {
					t.Errorf("%s: event %d: %+v", row.method, i, e)
				}
			}
		})
	}
}

// PROTOCOL_ERROR does not say that nothing was processed, but net/http sends again after it. A
// request that must not be repeated goes out once, also if the next connection fails.
func TestStreamThatIsResetInDoubt(t *testing.T) {
	large := strings.Repeat("x", filebody.MaxSmall+1)
	for _, dead := range []bool{false, true} {
		for name, make := range map[string]func(t *testing.T, url string) *http.Request{
			"bytes": func(t *testing.T,
				_ string) *http.Request {
				return request(t, "POST", "x")
			},
			"empty": func(t *testing.T,
				_ string) *http.Request {
				return request(t, "POST", "")
			},
			"file": func(t *testing.T,
				url string) *http.Request {
				return fileRequest(t, "POST", url, file(t, "x"))
			},
			"large file": func(t *testing.T,
				url string) *http.Request {
				return fileRequest(t, "POST", url, file(t, large))
			},
			"empty file": func(t *testing.T,
				url string) *http.Request {
				return fileRequest(t, "POST", url, file(t, ""))
			},
			"key": func(t *testing.T, _ string) *http.Request { // see header
				r := request(t, "POST", "x")
				r.Header.Set("Idempotency-Key", "k")
				return r
			},
			"empty, opened late": func(t *testing.T, _ string) *http.Request {
				r := request(t, "POST", "")
				r.Body, r.GetBody = io.NopCloser(lateReader{}),
					func() (io.ReadCloser, error) { return io.NopCloser(lateReader{}), nil }
				return r
			},
		} {
			for _, before := range []bool{false, true} { // whether the protocol is known
				synctest.Test(t, func(t *testing.T) {
					url := request(t, "GET", "").URL.String()
					sent := 0
					var l *memnet.Listener
					c, l := h2server(t, exact, func(_, n int, c *h2conn) {
						if before && n == 0 {
							c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
							return
						}
						if sent++; sent > 1 {
							c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
							return
						}
						l.Refuse(dead)
						time.AfterFunc(time.Second, func() { l.Refuse(false) })
						c.frame(frameReset, 0, c.last, streamError)
					})
					c.Repeatable = func(r *http.Request) bool { return r.Method != "POST" }
					if base := c.HTTP.Transport; name == "empty, opened late" {
						c.HTTP.Transport = tripFunc(func(r *http.Request) (*http.Response, error) {
							r = r.Clone(r.Context())
							r.Body, r.GetBody = http.NoBody, nil
							return base.RoundTrip(r)
						})
					}
					if before {
						check(t, name+": before", end(t, c, request(t, "POST", "x")).Outcome,
							Delivered)
					}
					r := end(t, c, make(t, url))
					check(t, name+": outcome", r.Outcome, Unknown)
					check(t, name+": uncertain", r.Uncertain, true)
					check(t, name+": tries", r.Attempts, 1)
					check(t, name+": sent", sent, 1)
				})
			}
		}
	}
}

type lateReader struct{}

func (lateReader) Read([]byte) (int, error) { return 0, io.EOF }

// It is the call that repeats what was not processed: at once after a GOAWAY, and at no attempt.
func TestUnprocessedRequestIsSentAtOnce(t *testing.T) {
	for _, again := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			one := exact
			one.Attempts, one.Base = 1, time.Second
			c, _ := h2server(t, one, func(conn, _ int, c *h2conn) {
				if conn < again {
					c.goAway(0)
					return
				}
				c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
			})
			begin := time.Now()
			r := end(t, c, request(t, "POST", "x"))
			check(t, "outcome", r.Outcome, Delivered)
			check(t, "tries", r.Attempts, again+1)
			check(t, "at once", time.Since(begin) == 0, again == 1)
		})
	}
}

// A server that refuses each stream has processed none.
func TestStreamsThatAreRefused(t *testing.T) {
	for _, body := range []string{"x", ""} {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			c, _ := h2server(t, Policy{Base: time.Minute, Cap: time.Minute, Attempts: 1,
				GiveUpAfter: time.Hour}, func(_, n int, c *h2conn) {
				requests++
				c.frame(frameReset, 0, c.last, streamRefused)
			})
			var events []Event
			c.Observe = func(e Event) { events = append(events, e) }
			begin := time.Now()
			r := end(t, c, request(t, "POST", body))
			check(t, "outcome", r.Outcome, Deferred)
			check(t, "uncertain", r.Uncertain, false)
			check(t, "reason", events[0].Reason, reasonOverloaded)
			// net/http itself goes on for two
			if took := time.Since(begin); took < time.Hour-time.Minute ||
				took > time.Hour+3*time.Minute {
				t.Errorf("gave up after %v", took)
			}
		})
	}
}

// net/http's own waits between refused streams end with the try, and nothing was processed until
// then.
func TestTimeoutBetweenRefusedStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c, _ := h2server(t, exact, func(_, _ int, c *h2conn) {
			if time.Since(begin) < 5*time.Second {
				c.frame(frameReset, 0, c.last, streamRefused)
			} else {
				c.frame(frameHeaders, endHeaders|endStream, c.last, noContent2)
			}
		})
		c.HTTP.Timeout = 2 * time.Second
		r := end(t, c, request(t, "DELETE", ""))
		check(t, "outcome", r.Outcome, Delivered)
		check(t, "tries", r.Attempts, 3)
		check(t, "uncertain", r.Uncertain, false)
	})
}

// What a server was at when it went away may have been processed, and so may what was sent again.
func TestRequestThatAServerGoesAwayWith(t *testing.T) {
	for name, act := range map[string]func(conn int, c *h2conn, l *memnet.Listener){
		"processed": func(_ int, c *h2conn, l *memnet.Listener) {
			l.Refuse(true)
			c.goAway(c.last)
			c.Close()
		},
		"lost the second time": func(conn int, c *h2conn, _ *memnet.Listener) {
			if conn == 0 {
				c.goAway(0)
			} else {
				c.Close()
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			var l *memnet.Listener
			c, l := h2server(t, exact, func(conn, _ int, c *h2conn) { act(conn, c, l) })
			check(t, name, end(t, c, request(t, "POST", "x")).Outcome, Unknown)
		})
	}
}

// A redirect was not the acceptance either.
func TestDialFailureAfterARedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(try{status: 307, header: "Location: /there"},
			try{err: errRefused, stage: dialling}, try{status: 307, header: "Location: /there"},
			try{status: 201})
		c, events := over(s, exact)
		check(t, "outcome", end(t, c, request(t, "POST", "x")).Outcome, Delivered)
		check(t, "uncertain", (*events)[0].Uncertain, false)
		check(t, "reason", (*events)[0].Reason, reasonUnreachable)
	})
}

// A body that cannot be opened for net/http's own second try was not sent.
func TestBodyThatCannotBeResent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		c, _ := h2server(t, exact, func(_, _ int,
			c *h2conn) {
			c.frame(frameReset, 0, c.last, streamRefused)
		})
		req := request(t, "PUT", "x")
		req.GetBody = func() (io.ReadCloser, error) { return nil, gone }
		_, err := c.Do(req)
		r := OutcomeOf(nil, err)
		check(t, "outcome", r.Outcome, Failed)
		check(t, "uncertain", r.Uncertain, false)
		check(t, "tries", r.Attempts, 1)
		if !errors.Is(err, gone) || !strings.Contains(err.Error(), reasonBody) {
			t.Error(err)
		}
	})
}

type failingBody struct {
	io.Reader
	err error
}

func (b *failingBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

func (b *failingBody) Close() error {
	b.err = errors.New("read after close")
	return nil
}

// The caller's own body is at fault, not the connection.
func TestBodyThatCannotBeRead(t *testing.T) {
	fire := errors.New("disk on fire")
	for _, row := range []struct {
		length int64
		http2  bool
	}{{100, false}, {-1, false}, {100, true}, {-1, true}} {
		for method, want := range map[string]Outcome{"PUT": Failed, "POST": Unknown} {
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				c := real(t, exact, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					requests++
					io.Copy(io.Discard, r.Body)
				}))
				if row.http2 {
					c, _ = h2server(t, exact,
						func(int, int, *h2conn) { t.Error("it was sent whole") })
				}
				var events []Event
				c.Observe = func(e Event) { events = append(events, e) }
				req := request(t, method, "x")
				req.GetBody = func() (io.ReadCloser,
					error) {
					return &failingBody{strings.NewReader("data"), fire}, nil
				}
				req.Body, _ = req.GetBody()
				req.ContentLength = row.length
				_, err := c.Do(req)
				r := OutcomeOf(nil, err)
				check(t, "outcome", r.Outcome, want)
				check(t, "uncertain", r.Uncertain, true)
				check(t, "tries", r.Attempts, 1)
				check(t, "reason", events[0].Reason, reasonBody)
				if !errors.Is(err, fire) ||
					!strings.Contains(err.Error(), "disk on fire: its body cannot be read") {
					t.Error(err)
				}
				synctest.Wait()
				if !row.http2 {
					check(t, "requests", requests, 1)
				}
			})
		}
	}
}

// Nor is it the connection's fault that a body has another length than was said.
func TestBodyOfAnotherLength(t *testing.T) {
	bodies := map[string]func() io.ReadCloser{
		"in memory": func() io.ReadCloser { return io.NopCloser(strings.NewReader("data")) },
		"a reader":  func() io.ReadCloser { return io.NopCloser(io.MultiReader(strings.NewReader("data"))) },
		"a file": func() io.ReadCloser {
			f, err := os.Open(file(t, "data"))
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
	}
	for i := range 2 * 2 * 8 { // which of a connection's errors comes first is up to luck
		http2, length := i&1 > 0, int64(3+i&2)
		for name, open := range bodies {
			synctest.Test(t, func(t *testing.T) {
				c := real(t, exact, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					<-r.Context().Done() // an answer might come first
				}))
				if http2 {
					c, _ = h2server(t, exact, func(int, int, *h2conn) {})
				}
				var events []Event
				c.Observe = func(e Event) { events = append(events, e) }
				req := request(t, "PUT", "x")
				req.Body, req.ContentLength = open(), length
				req.GetBody = func() (io.ReadCloser, error) { return open(), nil }
				_, err := c.Do(req)
				r := OutcomeOf(nil, err)
				if r.Outcome != Failed || r.Attempts != 1 || events[0].Reason != reasonBodyLength {
					t.Errorf("%s of %d bytes, HTTP/2 %v: %v after %d tries, %q: %v", name, length,
						http2, r.Outcome, r.Attempts, events[0].Reason, err)
				}
			})
		}
	}
}

// A body that fails because the connection was lost first is not to blame.
func TestBodyThatFailsAfterTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c, events := over(tripFunc(func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				r.Body.Read(make([]byte, 1)) // closed by now
				return nil, errReset
			}
			return answer(201, ""), nil
		}), exact)
		req := request(t, "PUT", "data")
		req.GetBody = func() (io.ReadCloser,
			error) {
			return &failingBody{strings.NewReader("data"), io.EOF}, nil
		}
		req.Body, _ = req.GetBody()
		check(t, "outcome", end(t, c, req).Outcome, Delivered)
		check(t, "reason", (*events)[0].Reason, reasonLost)
	})
}
