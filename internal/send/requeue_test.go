package send

import (
	"cmp"
	"math"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/throttle"
)

// hot is a server that refuses some files each time, by name, and accepts all others.
type hot struct {
	bad     func(i int) bool
	status  int
	after   string // Retry-After
	latency time.Duration
}

func (h *hot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || !h.bad(i) {
		accept(w, r, h.latency)
		return
	}
	if h.after != "" {
		w.Header().Set("Retry-After", h.after)
	}
	w.WriteHeader(h.status)
}

func refused(c *call) bool { return c.accepted == 0 }

// one is the only bad file.
func one(bad int) func(int) bool { return func(i int) bool { return i == bad } }

// arrived returns a function for which the first n files that it is asked about are bad. With one
// of them sent last nothing would tell the file from the server.
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
		{"503, in the middle, fast", &hot{bad: one(100), status: 503,
			latency: 20 * time.Millisecond}},
		{"503 with Retry-After", &hot{bad: one(100), status: 503, after: "1",
			latency: 100 * time.Millisecond}},
		{"429, the first", &hot{bad: one(0), status: 429, latency: 100 * time.Millisecond}},
		{"429, in the middle", &hot{bad: one(100), status: 429, latency: 100 * time.Millisecond}},
		{"429 with Retry-After", &hot{bad: one(100), status: 429, after: "1",
			latency: 100 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// Enough that the others last longer than the attempts, whatever the random waits
			// between those.
			const files = 450
			onFakeTime(t, files, c.ServeHTTP, func(w *world) {
				w.Attempts = 8
				s := w.run()
				w.ended(s, exit.Items, files-1, 1, 0, 0, 0)
				if w.since() > 90*time.Second {
					t.Errorf("over after %v", w.since())
				}
				if n := w.count(refused); n > 10 { // two that prove nothing, and eight attempts
					t.Errorf("%d refusals", n)
				}
				w.logged("is down", 0)
			})
		})
	}
}

// Among very many files one that causes a pause for all each time costs its pauses.
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
		if n := w.accepted(0, time.Minute); n != good {
			t.Errorf("%d delivered in a minute", n)
		}
		first := time.Duration(math.MaxInt64)
		for _, c := range w.calls {
			if c.accepted > 0 {
				first = min(first, c.accepted)
			}
		}
		if n := w.count(func(c *call) bool { return c.accepted == 0 && c.at < first }); n > 8 {
			t.Errorf("%d refusals before the first acceptance: the server may be down", n)
		}
		if n := w.count(refused); n > 10*bad {
			t.Errorf("%d refusals", n)
		}
	})
}

// A hot file does not fail for an outage in which it waits.
func TestHotFileInAnOutage(t *testing.T) {
	const from, to = 10 * time.Second, 70 * time.Second
	h := &hot{bad: one(50), status: 503, latency: 100 * time.Millisecond}
	onFakeTime(t, 1000, during(from, to, answering(503), h.ServeHTTP), func(w *world) {
		w.Attempts, w.Limits.Rate = 8, 20
		w.ended(w.run(), exit.Items, 999, 1, 0, 0, 0)
		if n := w.got(from, to); n > 12+8 { // probes, and what was in flight
			t.Errorf("%d requests to a server that was down", n)
		}
	})
}

// Where a few files are left that were refused while others were accepted after them, it is they
// that are refused: the run does not wait an hour for a server that is up.
func TestOnlyHotFilesAreLeft(t *testing.T) {
	for _, c := range []struct {
		name       string
		files, bad int
		*hot
	}{
		{"one of three", 3, 1, &hot{bad: arrived(1), status: 503, latency: 600 * time.Millisecond}},
		{"one of ten", 10, 1, &hot{bad: one(5), status: 503, latency: 100 * time.Millisecond}},
		{"429", 10, 1, &hot{bad: one(5), status: 429, latency: 100 * time.Millisecond}},
		{"429 with Retry-After", 10, 1, &hot{bad: one(5), status: 429, after: "5",
			latency: 100 * time.Millisecond}},
		{"three of ten", 10, 3, &hot{bad: arrived(3), status: 503,
			latency: 100 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
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

// An attempt in the pass at the end is noted in the journal as the first one was.
func TestLaterPassIsNoted(t *testing.T) {
	name, noted := filepath.Join(t.TempDir(), "j.db"), 0
	bad := inTurn(answering(503), answering(507), func(w http.ResponseWriter, r *http.Request) {
		for _, it := range rows(t, name) {
			if strings.HasSuffix(it.URL, r.URL.Path) && it.State == item.InFlight {
				noted++
			}
		}
		atOnce(w, r)
	})
	first := ""
	onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) {
		if first = cmp.Or(first, r.URL.Path); r.URL.Path == first {
			bad(w, r)
		} else {
			atOnce(w, r)
		}
	}, func(w *world) {
		w.method("POST")
		w.Workers = 1
		w.journal(name)
		w.run()
		if noted != 1 {
			t.Errorf("it is noted %d times as in flight while it is sent again", noted)
		}
	})
}

// Files that wait for their next attempt hold no others up, however few may be in flight.
func TestBackoffHoldsNobodyUp(t *testing.T) {
	var mu sync.Mutex
	tries := map[string]int{}
	onFakeTime(t, 60, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		tries[r.URL.Path]++
		try := tries[r.URL.Path]
		mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "0") && try <= 4 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 1}
		s := w.run()
		w.ended(s, exit.Delivered, 60, 0, 0, 0, 0)
		var others time.Duration // until all but those that were refused are delivered
		for _, snap := range w.watch.snapshots {
			if snap.Delivered < 54 {
				others = snap.Elapsed
			}
		}
		// These and the others' attempts, at the rate, with time to grow.
		if most := (60+6*4)*time.Second/10 + time.Second; others > most {
			t.Errorf("the others took %v of %v, want at most %v", others, w.since(), most)
		}
	})
}
