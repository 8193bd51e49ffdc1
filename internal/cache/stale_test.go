package cache

import (
	"testing"
	"testing/synctest"
	"time"
)

// Revalidations are shared too, and one that takes long is an outage.
func TestStaleAfter(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		c.StaleIfError, c.StaleAfter = time.Hour, 2*time.Second
		first := start(c, "")
		send(g.heads, head(200, 0, fresh+` | Etag: "a"`))
		close(g.pieces)
		synctest.Wait()
		want(t, "first", first.standing(), "fwd=uri-miss; fwd-status=200; ttl=60; stored")
		time.Sleep(time.Minute)
		first = start(c, "")
		time.Sleep(time.Second)
		second := start(c, "")
		time.Sleep(time.Second - 1)
		want(t, "first", first.standing(), "waits")
		time.Sleep(time.Nanosecond)
		want(t, "first", first.standing(), "fwd=stale; ttl=-2; detail=stale-if-error")
		want(t, "second", second.standing(), "fwd=stale; ttl=-2; collapsed; detail=stale-if-error")
		third := start(c, "")
		want(t, "third", third.standing(), "fwd=stale; ttl=-2; collapsed; detail=stale-if-error")
		want(t, "requests", len(g.requests()), 2)
		send(g.heads, head(304, 0, ""))
		want(t, "fourth", start(c, "").standing(), "hit; ttl=58") // it was asked 2 s ago
		want(t, "stale", c.Stats().Stale, int64(3))
	})
}

func TestRevalidatedOnceForMany(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		start(c, "")
		send(g.heads, head(200, 0, fresh+` | Etag: "a"`))
		close(g.pieces)
		synctest.Wait()
		time.Sleep(time.Minute)
		first, second := start(c, ""), start(c, "")
		picky := start(c, "Cache-Control: no-cache")
		want(t, "requests", len(g.requests()), 3)
		send(g.heads, head(304, 0, ""))
		send(g.heads, head(304, 0, ""))
		want(t, "first", first.standing(), "fwd=stale; fwd-status=304; ttl=60; stored")
		want(t, "second", second.standing(), "fwd=stale; ttl=60; collapsed")
		// The entry that it was about has been replaced; that it is right holds all the same.
		want(t, "picky", picky.standing(), "fwd=stale; fwd-status=304; ttl=60; stored")
	})
}

func TestStaleWhileRevalidate(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, c *Transport) {
		start(c, "")
		send(g.heads, head(200, 0, fresh+`, stale-while-revalidate=60 | Etag: "a"`))
		close(g.pieces)
		synctest.Wait()
		time.Sleep(61 * time.Second)
		for _, method := range []string{"HEAD", "GET"} {
			resp := c.Stored(request(method, target, "Range: bytes=0-1"))
			want(t, method, resp.Header.Get("Cache-Status"), "penstock; hit; ttl=-1; detail=stale-while-revalidate")
		}
		synctest.Wait()
		want(t, "requests", len(g.requests()), 2)
		want(t, "method", g.requests()[1].Method, "GET")
		want(t, "range", g.requests()[1].Header.Get("Range"), "")
		want(t, "condition", conditionOf(g.requests()[1]), `"a"`)
		send(g.heads, head(304, 0, ""))
		want(t, "after it", start(c, "").standing(), "hit; ttl=60")
		// Close ends what is under way.
		time.Sleep(61 * time.Second)
		c.Stored(request("GET", target, ""))
		synctest.Wait()
		want(t, "running", len(c.mu.running), 1)
	})
}
