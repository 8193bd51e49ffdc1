package cache

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// Each block of the file is a case: see there.
func TestRules(t *testing.T) {
	text, err := os.ReadFile("testdata/rules.txt")
	test.OK(t, err)
	cases := 0
	for block := range strings.SplitSeq(string(text), "\n\n") {
		name, script, _ := strings.Cut(block, "\n")
		if name, ok := strings.CutPrefix(name, "# "); ok {
			cases++
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { play(t, script) })
			})
		}
	}
	if cases < 90 {
		t.Errorf("there are %d cases", cases)
	}
}

// play plays one case. Requests are sent when what the server answers is known.
func play(t *testing.T, script string) {
	o := &origin{}
	c := newCache(o)
	defer c.Close()
	o.then(func(*http.Request) (*http.Response, error) {
		t.Error("the server was asked")
		return nil, errDown
	})
	var pending *http.Request
	var last got
	ask := func() {
		if pending != nil {
			last = read(c.RoundTrip(pending))
			pending = nil
		}
	}
	for line := range strings.Lines(script) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "TTL", "StaleIfError", "after":
			ask()
			d, err := time.ParseDuration(rest)
			test.OK(t, err)
			switch verb {
			case "TTL":
				c.TTL = d
			case "StaleIfError":
				c.StaleIfError = d
			default:
				time.Sleep(d)
			}
		case "GET":
			ask()
			pending = request("GET", target, rest)
		case "down":
			o.then(down)
		case "->":
			ask()
			test.OK(t, last.err)
			want(t, "standing", last.standing, rest)
		default:
			status, err := strconv.Atoi(verb)
			test.OK(t, err)
			o.then(says(status, rest, "body"))
		}
	}
}

// What a hit is made of.
func TestStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: says(200, `Cache-Control: max-age=60, private="X-Who" |
			X-Who: me | Connection: X-Hop | X-Hop: 1 | Keep-Alive: 5 | Proxy-Authenticate: x |
			Age: 3 | X: 1 | X: 2`, "hello")}
		c := newCache(o)
		defer c.Close()
		g := askFor(t, c, request("GET", target, ""))
		want(t, "its own field", g.header.Get("X-Who"), "me")
		time.Sleep(4 * time.Second)
		for range 2 {
			resp := c.Stored(request("GET", target, ""))
			want(t, "length", resp.ContentLength, int64(5))
			g = read(resp, nil)
			for name, value := range map[string]string{"X-Who": "", "X-Hop": "", "Connection": "",
				"Keep-Alive": "", "Proxy-Authenticate": "", "Age": "7", "Content-Length": "5",
				"X": "1", "Date": "Sat, 01 Jan 2000 00:00:00 GMT"} {
				want(t, name, g.header.Get(name), value)
			}
			want(t, "lines", len(g.header["X"]), 2)
			want(t, "body", g.body, "hello")
			g.header["X"][0] = "changed by a client"
		}
		g = askFor(t, c, request("HEAD", target, ""))
		want(t, "HEAD", g.standing, "hit; ttl=53")
		want(t, "HEAD's length", g.header.Get("Content-Length"), "5")
		want(t, "HEAD's body", g.body, "")
		want(t, "requests", len(o.requests()), 1)
	})
}

func TestConditions(t *testing.T) {
	for _, row := range []struct {
		name, header, body, contentRange string
		status                           int
	}{
		{"ETag", `If-None-Match: "x", W/"a"`, "", "", 304},
		{"any", `If-None-Match: *`, "", "", 304},
		{"another ETag", `If-None-Match: "x"`, "0123456789", "", 200},
		{"ETag before date", `If-None-Match: "x" | If-Modified-Since: now`, "0123456789", "", 200},
		{"date", "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT", "", "", 304},
		{"older date", "If-Modified-Since: Fri, 31 Dec 1999 00:00:00 GMT", "0123456789", "", 200},
		{"range", "Range: bytes=2-4", "234", "bytes 2-4/10", 206},
		{"its end", "Range: bytes=-3", "789", "bytes 7-9/10", 206},
		{"range beyond", "Range: bytes=10-", "invalid range: failed to overlap\n",
			"bytes */10", 416},
		{"If-Range", `Range: bytes=2-4 | If-Range: "a"`, "234", "bytes 2-4/10", 206},
		{"If-Range, another", `Range: bytes=2-4 | If-Range: "x"`, "0123456789", "", 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origin{answer: says(200,
					`Cache-Control: max-age=60 | Etag: "a" | Last-Modified: now`, "0123456789")}
				c := newCache(o)
				defer c.Close()
				for i := range 2 { // the first is answered by the fetch
					if i == 0 && row.contentRange != "" {
						askFor(t, c, request("GET", target, ""))
						continue
					}
					req := request("GET", target, row.header)
					if i == 0 {
						req.Header.Del("Range")
						req.Header.Del("If-Range")
					}
					g := askFor(t, c, req)
					synctest.Wait()
					want(t, "status", g.status, row.status)
					want(t, "body", g.body, row.body)
					want(t, "range", g.header.Get("Content-Range"), row.contentRange)
					if row.status == 304 {
						want(t, "length", g.header.Get("Content-Length"), "")
						want(t, "ETag", g.header.Get("Etag"), `"a"`)
					}
				}
				reqs := o.requests()
				want(t, "requests", len(reqs), 1)
				want(t, "condition", conditionOf(reqs[0]), "")
			})
		})
	}
}

func conditionOf(req *http.Request) string {
	return req.Header.Get("If-None-Match") + req.Header.Get("If-Modified-Since")
}

// A 304 freshens what is stored, and a revalidation has the stored validators and no others.
func TestRevalidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: says(200, `Cache-Control: max-age=60 | Etag: "a" | X: 1 | Age: 50`, "one")}
		c := newCache(o)
		defer c.Close()
		askFor(t, c, request("GET", target, ""))
		time.Sleep(time.Minute)
		o.then(says(304, `Cache-Control: max-age=30 | X: 2 | Content-Length: 99`, ""))
		g := askFor(t, c, request("GET", target, `If-None-Match: "b"`))
		want(t, "condition", conditionOf(o.requests()[1]), `"a"`)
		want(t, "status", g.status, 200)
		want(t, "body", g.body, "one")
		time.Sleep(29 * time.Second)
		g = askFor(t, c, request("GET", target, ""))
		want(t, "standing", g.standing, "hit; ttl=1")
		want(t, "field", g.header.Get("X"), "2")
		want(t, "length", g.header.Get("Content-Length"), "3")

		// a 304 about something else: the server is asked again
		time.Sleep(time.Minute)
		o.then(func(req *http.Request) (*http.Response, error) {
			if conditionOf(req) != "" {
				return says(304, `Etag: "c"`, "")(req)
			}
			return says(200, `Cache-Control: max-age=30 | Etag: "c"`, "three")(req)
		})
		g = askFor(t, c, request("GET", target, ""))
		want(t, "body", g.body, "three")
		want(t, "requests", len(o.requests()), 4)
		s := c.Stats()
		want(t, "revalidated", s.Revalidated, int64(1))
		want(t, "hits", s.Hits, int64(1))
		want(t, "misses", s.Misses, int64(3))
	})
}

func TestHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh := `Cache-Control: max-age=60 | Etag: "a"`
		o := &origin{answer: says(200, fresh, "one")}
		c := newCache(o)
		defer c.Close()
		g := askFor(t, c, request("HEAD", target, ""))
		want(t, "not stored", g.standing, "fwd=uri-miss; fwd-status=200")
		askFor(t, c, request("GET", target, ""))
		time.Sleep(time.Minute)
		o.then(says(304, "", ""))
		g = askFor(t, c, request("HEAD", target, ""))
		want(t, "revalidated", g.standing, "fwd=stale; fwd-status=304; ttl=60; stored")
		g = askFor(t, c, request("GET", target, ""))
		want(t, "GET", g.standing+g.body, "hit; ttl=60one")
		time.Sleep(time.Minute)
		o.then(says(200, `Cache-Control: max-age=60 | Etag: "b"`, "one"))
		askFor(t, c, request("HEAD", target, ""))
		g = askFor(t, c, request("GET", target, ""))
		want(t, "removed", g.standing, "fwd=uri-miss; fwd-status=200; ttl=60; stored")
	})
}

func TestInvalidation(t *testing.T) {
	const host = "http://server.example"
	for _, row := range []struct {
		name, method, url, answer string
		status                    int
		gone                      bool
	}{
		{"PUT", "PUT", target, "", 200, true},
		{"DELETE", "DELETE", target, "", 204, true},
		{"an unknown method", "FROB", target, "", 200, true},
		{"a redirect", "POST", target, "", 303, true},
		{"refused", "PUT", target, "", 409, false},
		{"failed", "PUT", target, "", 500, false},
		{"safe", "OPTIONS", target, "", 200, false},
		{"elsewhere", "PUT", host + "/other", "", 200, false},
		{"Location", "POST", host + "/other", "Location: thing", 201, true},
		{"Content-Location", "POST", host + "/other",
			"Content-Location: HTTP://Server.Example:80/thing", 200, true},
		{"another origin", "POST", "http://other.example/", "Location: " + target, 201, false},
		{"another query", "PUT", target + "?a", "", 200, false},
		{"an empty query", "PUT", target + "?", "", 200, false},
		{"the same in other words", "PUT", "HTTP://SERVER.example:80/thing", "", 200, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origin{answer: says(200, "Cache-Control: max-age=60", "one")}
				c := newCache(o)
				defer c.Close()
				askFor(t, c, request("GET", target, ""))
				o.then(says(row.status, row.answer, ""))
				g := askFor(t, c, request(row.method, row.url, ""))
				want(t, "status", g.status, row.status)
				want(t, "gone", c.Stored(request("GET", target, "")) == nil, row.gone)
			})
		})
	}
}

// A stored answer never has more requests' values than one.
func TestVariants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		o.then(func(req *http.Request) (*http.Response, error) {
			return says(200, "Cache-Control: max-age=60 | Vary: X", req.Header.Get("X"))(req)
		})
		c := newCache(o)
		defer c.Close()
		value := func(i int) string { return "X: " + string(rune('0'+i)) }
		for i := range 2 * maxVariants {
			askFor(t, c, request("GET", target, value(i)))
		}
		for i := range 2 * maxVariants {
			resp := c.Stored(request("GET", target, value(i)))
			want(t, "stored", resp != nil, i >= maxVariants)
			if resp != nil {
				want(t, "body", read(resp, nil).body, value(i)[3:])
			}
		}
		want(t, "URLs", c.Stats().Entries, 1)
	})
}

// Without a bound there is no cache.
func TestOff(t *testing.T) {
	o := &origin{answer: says(200, "Cache-Control: max-age=60", "one")}
	c := &Transport{Base: o}
	for range 2 {
		req := request("GET", target, "")
		resp, err := c.RoundTrip(req)
		test.OK(t, err)
		want(t, "fields", len(resp.Header), 1)
		want(t, "the request", o.requests()[len(o.requests())-1] == req, true)
	}
	want(t, "requests", len(o.requests()), 2)
	want(t, "numbers", c.Stats(), Stats{})
	test.OK(t, c.Close())
}

func TestName(t *testing.T) {
	for name, out := range map[string]string{"": "penstock", "relay-1": "relay-1", "1": `"1"`,
		"my cache": `"my cache"`, `a"b\` + "\n": `"a\"b\\"`, "ä": `""`} {
		want(t, name, cacheName(name), out)
	}
}
