package lab

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

var tutorialPreset = preset{Preset{
	Name: "tutorial",
	Summary: "4 requests in each second of the wall clock for an API key, stated in headers, 1.03 " +
		"s each",
	Params: []Param{
		{"limit", "4", "requests in a second"},
		{"latency", "1.03s", "from the arrival to the answer of an accepted request"},
	},
}, func(v *values) rule {
	return &tutorial{
		limit:   v.count("limit", 1),
		latency: v.duration("latency", 0),
		used:    map[string]int{},
	}
}}

// tutorial is the API that people meet in courses: a counter for each API key that starts again
// with each second of the wall clock. A refusal is answered at once and counts for nothing.
type tutorial struct {
	limit   int
	latency time.Duration

	mu     sync.Mutex     // protects the two below
	second int64          // the Unix time that used is of
	used   map[string]int // accepted in this second, by key
}

func (t *tutorial) serve(x *exchange) {
	left, ok := t.take(apiKey(x.r), x.at)
	// The names as the API writes them, which Set would change.
	x.w.Header()["X-RateLimit-Limit-second"] = []string{strconv.Itoa(t.limit)}
	x.w.Header()["X-RateLimit-Remaining-second"] = []string{strconv.Itoa(left)}
	if !ok {
		x.refuse(http.StatusTooManyRequests, -1)
		return
	}
	x.read(nil)
	if x.admit() {
		x.sleepUntil(x.at.Add(t.latency))
		x.store()
	}
	x.answer()
}

func (t *tutorial) take(key string, at time.Time) (left int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if second := at.Unix(); second > t.second {
		t.second = second
		clear(t.used)
	}
	if t.used[key] == t.limit {
		return 0, false
	}
	t.used[key]++
	return t.limit - t.used[key], true
}

// apiKey is what a client shows, or else the host that it calls from.
func apiKey(r *http.Request) string {
	for _, name := range []string{"X-Api-Key", "Authorization"} {
		if v := r.Header.Get(name); v != "" {
			return name + ": " + v
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
