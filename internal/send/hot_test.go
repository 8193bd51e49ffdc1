package send

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
)

// hot is a world in which some files are always refused, by name, and all others are accepted.
type hot struct {
	bad     func(i int) bool
	status  int
	after   string // Retry-After
	latency time.Duration

	accepted, refused instants
}

func (h *hot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || h.bad(i) {
		h.refused.add()
		if h.after != "" {
			w.Header().Set("Retry-After", h.after)
		}
		w.WriteHeader(h.status)
		return
	}
	accept(w, r, h.latency)
	h.accepted.add()
}

// one is the only bad file.
func one(bad int) func(int) bool { return func(i int) bool { return i == bad } }

// arrived returns a function for which the first n files that it is asked about are bad. With one of them sent last nothing
// would tell the file from the server.
func arrived(n int) func(int) bool {
	var mu sync.Mutex
	bad := map[int]bool{}
	return func(i int) bool {
		mu.Lock()
		defer mu.Unlock()
		if len(bad) < n {
			bad[i] = true
		}
		return bad[i]
	}
}

// [hot file] One file that is always refused fails after its attempts, soon, and the server is not
// taken for down by it.
func TestHotFile(t *testing.T) {
	for _, c := range []struct {
		name string
		*hot
	}{
		{"503, the first", &hot{bad: one(0), status: 503, latency: 100 * time.Millisecond}},
		{"503, in the middle", &hot{bad: one(100), status: 503, latency: 100 * time.Millisecond}},
		{"503, in the middle, fast", &hot{bad: one(100), status: 503, latency: 20 * time.Millisecond}},
		{"503 with Retry-After", &hot{bad: one(100), status: 503, after: "1", latency: 100 * time.Millisecond}},
		{"429, the first", &hot{bad: one(0), status: 429, latency: 100 * time.Millisecond}},
		{"429, in the middle", &hot{bad: one(100), status: 429, latency: 100 * time.Millisecond}},
		{"429 with Retry-After", &hot{bad: one(100), status: 429, after: "1", latency: 100 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Enough that the others last longer than the attempts, whatever the random waits between those.
			const files = 450
			onFakeTime(t, files, c.ServeHTTP, func(w *world) {
				w.Attempts = 8
				s := w.run()
				w.ended(s, exit.Items, files-1, 1, 0, 0, 0)
				if w.since() > 90*time.Second {
					t.Errorf("over after %v", w.since())
				}
				if n := len(c.refused.at); n > 10 { // two that prove nothing, and eight attempts
					t.Errorf("%d refusals", n)
				}
				if talk := w.watch.talk.String(); strings.Contains(talk, "is down") {
					t.Error("it says that the server is down")
				}
			})
		})
	}
}

// Among very many files one that asks everybody for a pause each time costs its pauses.
func TestHotFileAmongMany(t *testing.T) {
	const files = 6000
	h := &hot{bad: one(files / 2), status: 429, after: "1", latency: 20 * time.Millisecond}
	onFakeTime(t, files, h.ServeHTTP, func(w *world) {
		w.Attempts = 8
		w.Limits.Rate = 200
		w.ended(w.run(), exit.Items, files-1, 1, 0, 0, 0)
		if alone := files * time.Second / 200; w.since() > 2*alone {
			t.Errorf("over after %v, %v without it", w.since(), alone)
		}
	})
}

// Bad files come first in the list, more of them than there are workers. The good ones behind them
// are delivered all the same, soon, and then the bad ones fail.
func TestHotFilesFirst(t *testing.T) {
	const bad, good = 100, 900
	h := &hot{bad: func(i int) bool { return i < bad }, status: 503, latency: 20 * time.Millisecond}
	onFakeTime(t, bad+good, h.ServeHTTP, func(w *world) {
		w.Attempts = 8
		w.ended(w.run(), exit.Items, good, bad, 0, 0, 0)
		if n := h.accepted.within(w.begin, w.begin.Add(time.Minute)); n != good {
			t.Errorf("%d delivered in a minute", n)
		}
		if n := h.refused.within(w.begin, h.accepted.first()); n > 8 {
			t.Errorf("%d refusals before the first acceptance: the server may be down", n)
		}
		if n := len(h.refused.at); n > 10*bad {
			t.Errorf("%d refusals", n)
		}
	})
}

// A hot file does not fail for an outage in which it waits.
func TestHotFileInAnOutage(t *testing.T) {
	const from, to = 10 * time.Second, 70 * time.Second
	var begin time.Time
	var failed atomic.Int64
	h := &hot{bad: one(50), status: 503, latency: 100 * time.Millisecond}
	onFakeTime(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		if since := time.Since(begin); since >= from && since < to {
			failed.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	}, func(w *world) {
		begin = w.begin
		w.Attempts, w.Limits.Rate = 8, 20
		w.ended(w.run(), exit.Items, 999, 1, 0, 0, 0)
		if n := failed.Load(); n > 12+8 { // probes, and what was in flight
			t.Errorf("%d requests to a server that was down", n)
		}
	})
}

// Where a few files are left that were refused while others were accepted after them, it is they that are
// refused: the run does not wait an hour for a server that is up.
func TestOnlyHotFilesAreLeft(t *testing.T) {
	for _, c := range []struct {
		name       string
		files, bad int
		*hot
	}{
		{"one of three", 3, 1, &hot{bad: arrived(1), status: 503, latency: 600 * time.Millisecond}},
		{"one of ten", 10, 1, &hot{bad: one(5), status: 503, latency: 100 * time.Millisecond}},
		{"429", 10, 1, &hot{bad: one(5), status: 429, latency: 100 * time.Millisecond}},
		{"429 with Retry-After", 10, 1, &hot{bad: one(5), status: 429, after: "5", latency: 100 * time.Millisecond}},
		{"three of ten", 10, 3, &hot{bad: arrived(3), status: 503, latency: 100 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFakeTime(t, c.files, c.ServeHTTP, func(w *world) {
				w.Attempts = 8
				w.Limits.InFlight = 2
				w.ended(w.run(), exit.Items, int64(c.files-c.bad), int64(c.bad), 0, 0, 0)
				if w.since() > 5*time.Minute {
					t.Errorf("over after %v", w.since())
				}
			})
		})
	}
}

// A server that goes down for minutes after it has accepted most is waited for.
func TestOutageAtTheEnd(t *testing.T) {
	var n atomic.Int64
	var begin time.Time
	onFakeTime(t, 20, func(w http.ResponseWriter, r *http.Request) {
		if i := n.Add(1); i > 15 && time.Since(begin) < 30*time.Minute {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		accept(w, r, 100*time.Millisecond)
	}, func(w *world) {
		begin = w.begin
		w.Limits.InFlight = 2
		w.ended(w.run(), exit.Delivered, 20, 0, 0, 0, 0)
	})
}

// A quota that is used up is waited for, also where a file was refused a moment before the last one was accepted.
func TestQuotaAtTheEnd(t *testing.T) {
	var n atomic.Int64
	var begin time.Time
	onFakeTime(t, 20, func(w http.ResponseWriter, r *http.Request) {
		i := n.Add(1)
		if i == 10 || i > 15 && time.Since(begin) < 30*time.Minute {
			w.Header().Set("Retry-After", strconv.Itoa(max(1, int((30*time.Minute-time.Since(begin))/time.Second))))
			if i == 10 {
				w.Header().Set("Retry-After", "1")
			}
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		accept(w, r, 100*time.Millisecond)
	}, func(w *world) {
		begin = w.begin
		w.Limits.InFlight = 2
		w.ended(w.run(), exit.Delivered, 20, 0, 0, 0, 0)
	})
}
