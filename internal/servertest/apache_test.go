package servertest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/apachetest"
)

// flask is the service that the purpose of it all was: five threads, and each
// file needs one for a tenth of a second.
func flask() apachetest.Config {
	return apachetest.Config{Wait: 100 * time.Millisecond, CPU: 5 * time.Millisecond}
}

// consumption is what consumers want of it: as much work as a file, or little.
var consumption = []struct {
	name  string
	query string
	every time.Duration
	goal  float64 // times the latency without uploads
}{
	{"consumer p95", "/consume?wait=0.1", 300 * time.Millisecond, 2},
	{"light consumer p95", "/consume?wait=0.01", 150 * time.Millisecond, 0},
}

// consume has all kinds of consumers until the func that it returns is called.
func consume(t *testing.T, s *apachetest.Server) (p95s func() []time.Duration) {
	var each []func() (time.Duration, int)
	for _, c := range consumption {
		each = append(each, consumers(t, s.URL+c.query, c.every))
	}
	return func() (all []time.Duration) {
		for _, p95 := range each {
			d, refused := p95()
			if refused > 0 {
				t.Errorf("%d consumers refused", refused)
			}
			all = append(all, d)
		}
		return all
	}
}

// bestFlask is the most that the service can do, beside its consumers.
func bestFlask(t *testing.T, cfg apachetest.Config, inFlight ...int) float64 {
	return best(t, 150, 16<<10, inFlight, func() string {
		s := apachetest.Start(t, cfg)
		stop := consume(t, s)
		t.Cleanup(func() { stop() })
		return s.URL + "/files"
	})
}

// A service in threads that never says no: only its latency tells.
func TestFlask(t *testing.T) {
	together(t, false)
	flaskRun(t, flask(), 0.93, 4, 5, 6, 8, 12)
}

// The same, and where too many wait some are told 503.
func TestFlaskShortBacklog(t *testing.T) {
	together(t, false)
	cfg := flask()
	cfg.Backlog, cfg.ConnectTimeout = 5, 1
	flaskRun(t, cfg, 0.93, 5, 6, 8)
}

// The same, and more than two at once of one identity are told 429.
func TestFlaskIdentity(t *testing.T) {
	together(t, false)
	cfg := flask()
	cfg.Limit = 2
	flaskRun(t, cfg, 0.93, 2)
}

func flaskRun(t *testing.T, cfg apachetest.Config, share float64, inFlight ...int) {
	s := apachetest.Start(t, cfg)
	most := 0.0
	if *large {
		most = bestFlask(t, cfg, inFlight...)
	}
	stop := consume(t, s)
	time.Sleep(time.Duration(size(1, 5)) * time.Second)
	idle := stop()

	dir := writeFiles(t, size(30, 400)*cmpOr(cfg.Limit, 5)/5, always(16<<10))
	stop = consume(t, s)
	r := send(t, 0, "--to", s.URL+"/files/{name}", dir)
	busy := stop()
	j := byApache(t, s)
	j.check(t, dir, 0)
	j.waste(t, 0.02)
	if *large {
		atLeast(t, r, "share of the best fixed concurrency", float64(len(j.stored))/r.wall.Seconds()/most, share, "")
	}
	for i, c := range consumption {
		if c.goal > 0 {
			atMost(t, r, c.name, busy[i].Seconds(), c.goal*idle[i].Seconds(), " s")
		} else {
			t.Logf("%s: %v, without uploads %v", c.name, busy[i], idle[i])
		}
	}
}

func cmpOr(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

// metered is a server that sends its answers slowly, each in half a second, and
// no more than ten at once.
func metered() apachetest.Config {
	return apachetest.Config{Receipt: 8 << 10, Bandwidth: 16 << 10, MaxConnection: 10}
}

func TestMeteredReceipts(t *testing.T) {
	together(t, false)
	most := 0.0
	if *large {
		most = best(t, 100, 4<<10, []int{5, 8, 10, 12}, func() string { return apachetest.Start(t, metered()).URL + "/files" })
	}
	s := apachetest.Start(t, metered())
	dir := writeFiles(t, size(30, 400), always(4<<10))
	r := send(t, 0, "--to", s.URL+"/files/{name}", dir)
	j := byApache(t, s)
	j.check(t, dir, 0)
	j.waste(t, 0.02)
	if *large {
		atLeast(t, r, "share of the best fixed concurrency", float64(len(j.stored))/r.wall.Seconds()/most, 0.95, "")
	}
}

// A place whose count of connections was never counted down answers 503 for
// ever. It is asked now and then, and people are told.
func TestStuck(t *testing.T) {
	together(t, true)
	cfg := metered()
	cfg.MaxConnection, cfg.Bandwidth = 2, 4<<10
	s := apachetest.Start(t, cfg)
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
	atMost(t, r, fmt.Sprintf("requests in %v", patience), float64(j.requests), float64(size(5, 7)), "")
	atMost(t, r, "seconds until it gave up", r.wall.Seconds(), patience.Seconds()+1, " s")
}
