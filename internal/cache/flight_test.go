package cache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
)

func TestCollapse(t *testing.T) {
	for _, length := range []int64{6, -1} {
		t.Run(strconv.FormatInt(length, 10), func(t *testing.T) {
			bubble(t, func(t *testing.T, g *gate, c *Transport) {
				first, second := start(c, ""), start(c, "")
				send(g.heads, head(200, length, fresh))
				third := start(c, "")
				send(g.pieces, "abc")
				want(t, "first streams", first.body.String(), "abc")
				along := map[int64]string{6: "abc", -1: ""}[length]
				want(t, "second", second.body.String(), along)
				want(t, "third", third.body.String(), along)
				send(g.pieces, "def")
				close(g.pieces)
				for _, cl := range []*client{first, second, third} {
					synctest.Wait()
					want(t, "body", cl.body.String(), "abcdef")
					want(t, "error", cl.ended, error(nil))
				}
				want(t, "second", second.standing(), "fwd=uri-miss; ttl=60; collapsed")
				want(t, "length", second.resp.ContentLength, int64(6))
				want(t, "fourth", start(c, "").standing(), "hit; ttl=60")
				want(t, "requests", len(g.requests()), 1)
				s := c.Stats()
				want(t, "collapsed", s.Collapsed, int64(2))
				want(t, "misses", s.Misses, int64(1))
			})
		})
	}
}

// Any of those that wait may go away, also the one that began; the last one's end is the fetch's.
func TestCollapseWithCancellation(t *testing.T) {
	for _, when := range []string{"before the head", "while the body comes"} {
		t.Run(when, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *gate, c *Transport) {
				first, second, third := start(c, ""), start(c, ""), start(c, "")
				early := when == "before the head"
				if !early {
					send(g.heads, head(200, 6, fresh))
					send(g.pieces, "abc")
				}
				first.cancel()
				second.cancel()
				synctest.Wait()
				if early {
					want(t, "first", first.err, context.Canceled)
					want(t, "second", second.err, context.Canceled)
					send(g.heads, head(200, 6, fresh))
					send(g.pieces, "abc")
				} else {
					want(t, "first", first.ended, context.Canceled)
					want(t, "second", second.ended, context.Canceled)
				}
				send(g.pieces, "def")
				close(g.pieces)
				synctest.Wait()
				want(t, "third", third.body.String(), "abcdef")
				want(t, "stored", c.Stored(request("GET", target, "")) != nil, true)
			})
			bubble(t, func(t *testing.T, g *gate, c *Transport) {
				first, second := start(c, ""), start(c, "")
				if when != "before the head" {
					send(g.heads, head(200, 6, fresh))
				}
				second.cancel()
				first.cancel()
				synctest.Wait()
				want(t, "the fetch's end", g.requests()[0].Context().Err(), context.Canceled)
				want(t, "running", len(c.mu.running), 0)
				// a new request does not wait for a fetch that has ended
				third := start(c, "")
				send(g.heads, head(200, 0, fresh))
				close(g.pieces)
				want(t, "third", third.standing(), "fwd=uri-miss; fwd-status=200; ttl=60; stored")
			})
		})
	}
}

// What is not for others is fetched by each, and the next ones do not wait.
func TestNotForOthers(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		clients := []*client{start(c, ""), start(c, ""), start(c, "")}
		want(t, "requests at first", len(g.requests()), 1)
		send(g.heads, head(200, 0, "Cache-Control: private"))
		want(t, "requests then", len(g.requests()), 3)
		clients = append(clients, start(c, `If-None-Match: "a"`))
		want(t, "one more", len(g.requests()), 4)
		want(t, "its condition", conditionOf(g.requests()[3]), `"a"`)
		close(g.pieces)
		for range 3 {
			send(g.heads, head(200, 0, "Cache-Control: private"))
		}
		for _, cl := range clients {
			want(t, "standing", cl.standing(), "fwd=uri-miss; fwd-status=200")
		}
		time.Sleep(unsharedFor)
		a, b := start(c, ""), start(c, "")
		want(t, "after a minute", len(g.requests()), 5)
		a.cancel()
		b.cancel()
		synctest.Wait()
	})
}

func TestCollapseByVary(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		a1, b1, a2, b2 := start(c, "X: a"), start(c, "X: b"), start(c, "X: a"), start(c, "X: b")
		want(t, "requests at first", len(g.requests()), 1)
		for i, body := range []string{"a", "b"} {
			resp := head(200, 1, fresh+" | Vary: X")
			resp.Body = io.NopCloser(strings.NewReader(body))
			send(g.heads, resp)
			want(t, "requests then", len(g.requests()), 2)
			want(t, "second of them", b2.done, i == 1)
		}
		want(t, "bodies", a1.body.String()+a2.body.String()+b1.body.String()+b2.body.String(), "aabb")
		// now that it is known what the answer varies with, nobody waits in vain
		time.Sleep(time.Hour)
		a1, b1 = start(c, "X: a"), start(c, "X: b")
		want(t, "requests at last", len(g.requests()), 4)
		a1.cancel()
		b1.cancel()
		synctest.Wait()
	})
}

func TestErrorsOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		clients := []*client{start(c, ""), start(c, ""), start(c, "")}
		send(g.heads, nil)
		want(t, "requests", len(g.requests()), 2)
		send(g.heads, nil)
		want(t, "requests", len(g.requests()), 2)
		for _, cl := range clients {
			want(t, "error", cl.err, errDown)
		}
	})
}

func TestCutOff(t *testing.T) {
	for _, length := range []int64{6, -1} {
		bubble(t, func(t *testing.T, g *gate, c *Transport) {
			g.end = io.ErrUnexpectedEOF
			if length > 0 {
				g.end = io.EOF // too early
			}
			first := start(c, "")
			send(g.heads, head(200, length, fresh))
			send(g.pieces, "abc")
			close(g.pieces)
			synctest.Wait()
			want(t, "body", first.body.String(), "abc")
			want(t, "error", first.ended, io.ErrUnexpectedEOF)
			want(t, "stored", c.Stored(request("GET", target, "")) == nil, true)
		})
	}
}

// An answer that is longer than the bound streams on, and is not stored.
func TestTooLong(t *testing.T) {
	const most = 1 << 14
	for _, row := range []struct {
		name   string
		known  bool
		length int
		stored bool
	}{
		{"known", true, most, false},
		{"unknown", false, most, false},
		{"below", false, most / 2, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *gate, c *Transport) {
				c.MaxEntryBytes = most
				first, second := start(c, ""), start(c, "")
				length := int64(-1)
				if row.known {
					length = int64(row.length)
				}
				body := strings.Repeat("x", row.length)
				for i := range 2 {
					if i == 1 && row.stored {
						break
					}
					send(g.heads, head(200, length, fresh))
					send(g.pieces, body[:9000%row.length])
					send(g.pieces, body[9000%row.length:])
					if i == 0 {
						want(t, "first streams", first.body.Len(), row.length)
						want(t, "second", second.resp == nil, !row.stored || !row.known)
						if !row.stored {
							// the last piece of the first must not be taken by the second
							close(g.pieces)
							synctest.Wait()
							g.pieces = make(chan string)
						}
					}
				}
				close(g.pieces)
				synctest.Wait()
				want(t, "first", first.body.String() == body, true)
				want(t, "second", second.body.String() == body, true)
				want(t, "stored", c.Stored(request("GET", target, "")) != nil, row.stored)
				want(t, "reserved", c.mu.reserved, int64(0))
			})
		})
	}
}

// A client that does not read delays neither the recording nor the others.
func TestClientThatDoesNotRead(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		done := make(chan *http.Response, 1)
		go func() {
			resp, err := c.RoundTrip(request("GET", target, ""))
			test.Check(t, err)
			done <- resp
		}()
		synctest.Wait()
		second := start(c, "")
		send(g.heads, head(200, -1, fresh))
		send(g.pieces, strings.Repeat("x", 10000))
		close(g.pieces)
		synctest.Wait()
		want(t, "second", second.body.Len(), 10000)
		test.OK(t, (<-done).Body.Close())
	})
}

// An answer that was asked for before a change is not stored after it.
func TestInvalidationDuringAFetch(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		first := start(c, "")
		send(g.heads, head(200, 3, fresh))
		go func() {
			resp, err := c.RoundTrip(request("PUT", target, ""))
			test.Check(t, err)
			resp.Body.Close()
		}()
		synctest.Wait()
		send(g.heads, head(200, 0, ""))
		second := start(c, "")
		want(t, "requests", len(g.requests()), 3)
		second.cancel()
		send(g.pieces, "old")
		close(g.pieces)
		synctest.Wait()
		want(t, "first", first.body.String(), "old")
		want(t, "stored", c.Stored(request("GET", target, "")) == nil, true)
	})
}

// The age of an answer begins when its request is sent, not when it begins to wait.
func TestAgeWithoutTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: func(req *http.Request) (*http.Response, error) {
			time.Sleep(50 * time.Second)
			sentNow(req)
			time.Sleep(3 * time.Second)
			return says(200, fresh, "")(req)
		}}
		c := newCache(o)
		defer c.Close()
		g := askFor(t, c, request("GET", target, ""))
		want(t, "standing", g.standing, "fwd=uri-miss; fwd-status=200; ttl=57; stored")
	})
}

func TestTrailers(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		first := start(c, "")
		resp := head(200, -1, fresh)
		resp.Trailer = http.Header{"Sum": nil}
		send(g.heads, resp)
		_, announced := first.resp.Trailer["Sum"]
		want(t, "announced", announced, true)
		resp.Trailer = http.Header{"Sum": {"1"}}
		close(g.pieces)
		synctest.Wait()
		want(t, "trailer", first.resp.Trailer.Get("Sum"), "1")
	})
}

func TestContextsCause(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		cause := errors.New("why")
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		_, err := c.RoundTrip(request("GET", target, "").WithContext(ctx))
		want(t, "error", err, cause)
		synctest.Wait()
	})
}
