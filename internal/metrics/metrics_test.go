package metrics

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/golden"
	"github.com/penstock/penstock/internal/test"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// states are a run and a relay. In none are two numbers of a metric alike.
func states() map[string]board.State {
	waited := map[string]float64{"rate": 1.5, "concurrency": 2, "bandwidth": 0, "cool_down": 61,
		"down": 3, "quota": 4.5}
	api := board.Upstream{Name: "https://api.example.com", Phase: "down", Sent: 100, Accepted: 80,
		Throttled: 9, Overloaded: 4, TimedOut: 3, Failed: 2, InFlight: 2, Waiting: 7, Latency: .25,
		Rate: 12.5, InFlightLimit: 8, Found: true, Until: at.Add(time.Minute), Waited: waited}
	open := board.Upstream{Name: "http://b.example\xff", Phase: "steady"}
	return map[string]board.State{
		"run": {Command: "send", Version: "v1.2.3", Started: at, Now: at.Add(time.Hour),
			Draining: true, Upstreams: []board.Upstream{api, open},
			Items: &board.Items{Total: 90, Known: true, Delivered: 70, Failed: 6, Unknown: 5,
				Skipped: 4, Deferred: 3, Bytes: 1 << 20, AllBytes: 1 << 21, Left: 12.5}},
		"relay": {Command: "relay", Version: "v1.2.3", Started: at, Now: at.Add(time.Hour),
			Paused: true, Upstreams: []board.Upstream{open},
			Queue: &board.Queue{Requests: 60, Answered: 40, Refused: 4, Failed: 3, Lost: 2,
				Stored: 9, Waiting: 7, Bytes: 1 << 10, Oldest: 1.25},
			Cache: &board.Cache{Hits: 10, Misses: 20, Stale: 1, Bytes: 1 << 12},
			Stored: &board.Stored{Waiting: 11, Bytes: 1 << 13, Oldest: 3600, InFlight: 1,
				Delivered: 8, Failed: 6, Unknown: 5}},
		"empty": {Command: "send", Started: at, Now: at},
	}
}

func TestMetrics(t *testing.T) {
	for name, s := range states() {
		c := collector{state: func() board.State { return s }}
		if name == "run" {
			c.ended, c.status = at.Add(time.Hour), 3
		}
		problems, err := testutil.GatherAndLint(registry(c))
		if err != nil || problems != nil {
			t.Errorf("%s: %v, %v", name, problems, err)
		}
		f := File{Path: filepath.Join(t.TempDir(), name)}
		test.OK(t, f.write(c))
		text, err := os.ReadFile(f.Path)
		test.OK(t, err)
		golden.Check(t, name+".prom", string(text))
	}
}

// The number of series has a bound.
func TestManyUpstreams(t *testing.T) {
	var s board.State
	for i := range 2 * maxUpstreams {
		s.Upstreams = append(s.Upstreams, board.Upstream{Name: fmt.Sprint("http://", i)})
	}
	c := collector{state: func() board.State { return s }}
	if n := testutil.CollectAndCount(c, "penstock_upstream_requests_total"); n != maxUpstreams {
		t.Errorf("%d servers have metrics, want %d", n, maxUpstreams)
	}
}

// What is served has also the process's own metrics.
func TestHandler(t *testing.T) {
	w := httptest.NewRecorder()
	h := Handler(func() board.State { return states()["relay"] })
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"\npenstock_queue_requests 7\n", "\ngo_goroutines "} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not there:\n%s", want, w.Body)
		}
	}
}

// The file is the exposition and nothing else, others may read it, and it replaces its like alone.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	f := File{Path: filepath.Join(dir, "p.prom"),
		State: func() board.State { return states()["run"] }}
	test.OK(t, CheckFile(f.Path))
	test.OK(t, f.Write())
	test.OK(t, CheckFile(f.Path))
	test.OK(t, f.WriteEnd(at, 4))
	info, err := os.Stat(f.Path)
	test.OK(t, err)
	if info.Mode() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
	text, err := os.ReadFile(f.Path)
	test.OK(t, err)
	if !strings.HasPrefix(string(text), Prefix) ||
		!strings.Contains(string(text), "\npenstock_exit_status 4\n") ||
		strings.Contains(string(text), "\ngo_") {
		t.Errorf("the file has:\n%s", text)
	}
	left, err := os.ReadDir(dir)
	test.OK(t, err)
	if len(left) != 1 {
		t.Errorf("the directory has %v", left)
	}

	other := filepath.Join(dir, "other.prom")
	test.OK(t, os.WriteFile(other, []byte("node_x 1\n"), 0o600))
	if err := CheckFile(other); err == nil {
		t.Error("another file would be written over")
	}
	if err := CheckFile(filepath.Join(dir, "nowhere", "p.prom")); err == nil {
		t.Error("a directory that is not there is none")
	}
}
