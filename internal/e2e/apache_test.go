package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/servers"
)

// flask is the service that the purpose of it all was: five threads, and each file needs one for a
// tenth of a second.
func flask() servers.ApacheConfig {
	return servers.ApacheConfig{Wait: 100 * time.Millisecond, CPU: 5 * time.Millisecond}
}

// consume has consumers until the func that it returns is called: some want as much work as a file
// does, others little. It returns the 95th percentile of how long an answer took for either, and
// how many got none.
func consume(t *testing.T, s *servers.Apache) (stop func() consumed) {
	much := consumers(t, s.URL+"/consume?wait=0.1", 300*time.Millisecond)
	little := consumers(t, s.URL+"/consume?wait=0.01", 150*time.Millisecond)
	return func() (c consumed) {
		var refused int
		c.much, c.refused = much()
		c.little, refused = little()
		c.refused += refused
		return c
	}
}

type consumed struct {
	much, little time.Duration
	refused      int
}

// A service in threads that never says no: only its latency tells.
func TestFlask(t *testing.T) {
	together(t, false)
	flaskRun(t, flask(), 4, 5, 6, 8, 12)
}

// The same, and where too many wait some are told 503.
func TestFlaskShortBacklog(t *testing.T) {
	together(t, false)
	cfg := flask()
	cfg.Backlog, cfg.ConnectTimeout = 5, 1
	flaskRun(t, cfg, 6, 8)
}

func flaskRun(t *testing.T, cfg servers.ApacheConfig, inFlight ...int) {
	most := 0.0
	if *large {
		most = best(t, 120, 16<<10, inFlight, func() (string, func()) {
			s := servers.StartApache(t, cfg)
			stop := consume(t, s)
			return s.URL + "/files", func() {
				t.Logf("consumers meanwhile: %+v", stop())
				s.Stop()
			}
		})
	}
	s := servers.StartApache(t, cfg)
	stop := consume(t, s)
	time.Sleep(time.Duration(size(1, 6)) * time.Second)
	alone := stop()

	dir := writeFiles(t, size(30, 400), always(16<<10))
	stop = consume(t, s)
	r := send(t, 0, "--to", s.URL+"/files/{name}", dir)
	beside := stop()
	j := byApache(t, s)
	j.check(t, dir, 0)
	j.waste(t, r, 0.02)
	if *large {
		atLeast(t, r, "share of the best fixed concurrency",
			float64(len(j.stored))/r.wall.Seconds()/most, 0.93, "")
	}
	atMost(t, r, "consumers' p95, of that without uploads",
		beside.much.Seconds()/alone.much.Seconds(), 2, " times")
	if *large && r.calm() && beside.refused > 0 {
		t.Errorf("%d consumers were refused", beside.refused)
	}
	t.Logf("consumers beside uploads: %+v, alone: %+v", beside, alone)
}

// The same service, and more than two at once of one identity are told 429.
func TestFlaskIdentity(t *testing.T) {
	together(t, true)
	cfg := flask()
	cfg.Limit = 2
	apacheRun(t, cfg, size(12, 200), 0.93, 2)
}

// Receipts that are sent slowly, each in half a second, ten at once.
func TestMeteredReceipts(t *testing.T) {
	together(t, true)
	apacheRun(t, metered(), size(30, 400), 0.95, 8, 10, 12)
}

func metered() servers.ApacheConfig {
	return servers.ApacheConfig{Receipt: 8 << 10, Bandwidth: 16 << 10, MaxConnection: 10}
}

func apacheRun(t *testing.T, cfg servers.ApacheConfig, files int, share float64, inFlight ...int) {
	most := 0.0
	if *large {
		most = best(t, 100, 4<<10, inFlight, func() (string, func()) {
			s := servers.StartApache(t, cfg)
			return s.URL + "/files", s.Stop
		})
	}
	s := servers.StartApache(t, cfg)
	dir := writeFiles(t, files, always(4<<10))
	r := send(t, 0, "--to", s.URL+"/files/{name}", dir)
	j := byApache(t, s)
	j.check(t, dir, 0)
	j.waste(t, r, 0.02)
	if *large {
		atLeast(t, r, "share of the best fixed concurrency",
			float64(len(j.stored))/r.wall.Seconds()/most, share, "")
	}
}

// A place whose count of connections was never counted down answers 503 forever. It is asked now
// and then, and people are told.
func TestStuck(t *testing.T) {
	together(t, true)
	cfg := metered()
	cfg.MaxConnection, cfg.Bandwidth = 2, 4<<10
	s := servers.StartApache(t, cfg)
	for range cfg.MaxConnection {
		go func() {
			req, err := http.NewRequest(http.MethodPut, s.URL+"/files/leak", strings.NewReader("x"))
			if err == nil {
				_, err = http.DefaultClient.Do(req)
			}
			if err == nil {
				t.Error("answered, so not stuck")
			}
		}()
	}
	time.Sleep(500 * time.Millisecond)
	if err := s.KillWorkers(); err != nil {
		t.Fatal(err)
	}
	patience := time.Duration(size(3, 20)) * time.Second
	dir := writeFiles(t, 20, always(4<<10))
	r := send(t, 5, "--give-up-after", patience.String(), "--to", s.URL+"/files/{name}", dir)
	s.Stop()
	var j judged
	log, err := s.Requests()
	j.countLog(t, log, err)
	if j.statuses[503] != j.requests || j.requests == 0 {
		t.Errorf("statuses %v, want 503 only", j.statuses)
	}
	for _, want := range []string{"503", "--give-up-after", "later"} {
		if !strings.Contains(r.said, want) {
			t.Errorf("no word of %q in what was said:\n%s", want, r.said)
		}
	}
	t.Logf("%s", r.said)
	// A second, two, four, eight, ten …
	atMost(t, r, fmt.Sprintf("requests in %v", patience), float64(j.requests),
		float64(size(5, 7)), "")
	atMost(t, r, "seconds until it gave up", r.wall.Seconds(), patience.Seconds()+1, " s")
}
