package cache

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A step of the model: a request, a change, or some time that passes.
type step struct {
	kind, path string
	seconds    int
}

var steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{
		rapid.SampledFrom([]string{"get", "get", "get", "put", "change", "wait"}).Draw(t, "kind"),
		rapid.SampledFrom([]string{"/a", "/b", "/c"}).Draw(t, "path"),
		rapid.IntRange(1, 9).Draw(t, "seconds"),
	}
}), 1, 60)

// Nothing that the cache answers is older than its max-age allows, or from before a change that was
// made through the cache; and it asks the server only when it must.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		age := rapid.IntRange(0, 20).Draw(rt, "max-age")
		tagged := rapid.Bool().Draw(rt, "tagged")
		plan := steps.Draw(rt, "steps")
		var failure string
		synctest.Test(t, func(*testing.T) { failure = replay(age, tagged, plan) })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// replay returns what is wrong, or nothing. The server's answers are the numbers of versions.
func replay(maxAge int, tagged bool, plan []step) string {
	version := map[string]int{}
	replaced := map[string][]time.Time{} // when each version was
	change := func(path string) {
		replaced[path] = append(replaced[path], time.Now())
		version[path]++
	}
	o := &origin{answer: func(req *http.Request) (*http.Response, error) {
		path := req.URL.Path
		if req.Method == http.MethodPut {
			change(path)
			return says(204, "", "")(req)
		}
		h := fmt.Sprintf("Cache-Control: max-age=%d", maxAge)
		if tag := fmt.Sprintf(`"%d"`, version[path]); tagged {
			h += " | Etag: " + tag
			if req.Header.Get("If-None-Match") == tag {
				return says(304, h, "")(req)
			}
		}
		return says(200, h, strconv.Itoa(version[path]))(req)
	}}
	c := newCache(o)
	defer c.Close()
	life := time.Duration(maxAge) * time.Second
	least := map[string]int{} // the version before which nothing may come
	fetched := map[string]time.Time{}
	for i, s := range plan {
		url := "http://server.example" + s.path
		switch s.kind {
		case "get":
			before := len(o.requests())
			g := read(c.RoundTrip(request("GET", url, "")))
			n, err := strconv.Atoi(g.body)
			if g.err != nil || err != nil || n < least[s.path] {
				return fmt.Sprintf("step %d: %+v, want %d or more", i, g, least[s.path])
			}
			if n < version[s.path] && time.Since(replaced[s.path][n]) >= life {
				return fmt.Sprintf("step %d: version %d, long replaced", i, n)
			}
			at, ok := fetched[s.path]
			hit := len(o.requests()) == before
			if hit != (ok && time.Since(at) < life) {
				return fmt.Sprintf("step %d: a hit %v: %s", i, hit, g.standing)
			}
			if !hit {
				fetched[s.path] = time.Now()
			}
		case "put":
			read(c.RoundTrip(request("PUT", url, "")))
			least[s.path] = version[s.path]
			delete(fetched, s.path)
		case "change": // behind the cache's back
			change(s.path)
		case "wait":
			time.Sleep(time.Duration(s.seconds) * time.Second)
		}
	}
	return ""
}
