package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/servers"
	"github.com/penstock/penstock/internal/test"
)

// judged is what servers say of a run.
type judged struct {
	requests int
	wasted   int // of these, refused or timed out
	statuses map[int]int
	log      []servers.Request // where there is one
	stored   map[string]file   // by name
}

// file is what a server has of one.
type file struct {
	sha256 string
	times  int // how often it was accepted
}

func (j *judged) count(status int) {
	if j.statuses == nil {
		j.statuses = map[int]int{}
	}
	j.statuses[status]++
	j.requests++
	if status >= 400 {
		j.wasted++
	}
}

// countLog takes the uploads from an access log.
func (j *judged) countLog(t *testing.T, log []servers.Request, err error) {
	t.Helper()
	test.OK(t, err)
	for _, r := range log {
		if r.Method == "PUT" {
			j.count(r.Status)
			j.log = append(j.log, r)
		}
	}
}

// byNginx stops the server and has it judge.
func byNginx(t *testing.T, s *servers.Nginx) judged {
	t.Helper()
	s.Stop()
	var j judged
	log, err := s.Requests()
	j.countLog(t, log, err)
	j.stored = map[string]file{}
	for name, sum := range sums(t, s.Files) {
		j.stored[name] = file{sha256: sum}
	}
	for _, r := range j.log {
		if r.Status/100 == 2 {
			name := strings.TrimPrefix(r.URI, "/")
			f := j.stored[name]
			f.times++
			j.stored[name] = f
		}
	}
	return j
}

// byApache stops the server and has it judge.
func byApache(t *testing.T, s *servers.Apache) judged {
	t.Helper()
	stored, err := s.Stored()
	test.OK(t, err)
	s.Stop()
	var j judged
	log, err := s.Requests()
	j.countLog(t, log, err)
	j.stored = map[string]file{}
	for name, f := range stored {
		j.stored[name] = file{f.SHA256, f.Times}
	}
	return j
}

// byLabs has practice servers judge together.
func byLabs(servers ...*lab.Server) judged {
	j := judged{statuses: map[int]int{}, stored: map[string]file{}}
	for _, s := range servers {
		stats := s.Stats()
		j.requests += int(stats.Requests)
		j.wasted += int(stats.Requests - stats.Answered)
		for status, n := range stats.ByStatus {
			j.statuses[status] += int(n)
		}
		for path, it := range stats.Items {
			name := strings.TrimPrefix(path, "/")
			j.stored[name] = file{it.SHA256, int(it.Times) + j.stored[name].times}
		}
	}
	return j
}

// check fails the test if a file is not on the server, or more than twice of them were accepted
// more than once.
func (j judged) check(t *testing.T, dir string, twice int) {
	t.Helper()
	want := sums(t, dir)
	lost, again := 0, 0
	for name, sum := range want {
		if j.stored[name].sha256 != sum {
			lost++
		}
		if j.stored[name].times > 1 {
			again++
		}
	}
	if lost > 0 || len(j.stored) != len(want) {
		t.Errorf("%d of %d files are not on the server as they are here; it has %d", lost,
			len(want), len(j.stored))
	}
	if again > twice {
		t.Errorf("%d files were accepted more than once", again)
	}
	note(t, "lost, accepted twice", fmt.Sprintf("%d, %d", lost, again), "0, 0",
		verdict(lost+again == 0))
}

// calm reports whether this machine had time to spare during the run, so that its speed may be
// judged.
func (r run) calm() bool { return r.idle > 0.4 }

// waste holds a run to a goal for the share of its requests that were wasted. A small run may waste
// some more in finding the pace.
func (j judged) waste(t *testing.T, r run, goal float64) {
	t.Helper()
	if !*large && float64(j.wasted) > goal*float64(j.requests)+20 {
		t.Errorf("%d of %d requests wasted: %v", j.wasted, j.requests, j.statuses)
	}
	share := float64(j.wasted) / float64(max(1, j.requests))
	judge(t, r, "waste", share/goal, fmt.Sprintf("%.1f %% (%d of %d)", 100*share, j.wasted,
		j.requests), fmt.Sprintf("<= %g %%", 100*goal))
}

// atMost and atLeast hold a number of a large run to its goal, if it was calm.
func atMost(t *testing.T, r run, what string, got, goal float64, unit string) {
	t.Helper()
	judge(t, r, what, got/goal, fmt.Sprintf("%.4g%s", got, unit),
		fmt.Sprintf("<= %.4g%s", goal, unit))
}

func atLeast(t *testing.T, r run, what string, got, goal float64, unit string) {
	t.Helper()
	judge(t, r, what, goal/got, fmt.Sprintf("%.4g%s", got, unit),
		fmt.Sprintf(">= %.4g%s", goal, unit))
}

// judge notes how a goal was met; above 1 it was not. With -goals it fails the test unless a tenth
// or less is missing: that much is luck. Without, no test depends on the speed of the machine.
func judge(t *testing.T, r run, what string, ratio float64, got, goal string) {
	t.Helper()
	met := !(ratio > 1)
	says := verdict(met)
	switch {
	case met || !*large || !*strict:
	case !r.calm():
		says += fmt.Sprintf(", on a machine that was only %.0f %% idle", 100*r.idle)
	case ratio > 1.1:
		t.Errorf("%s: %s, want %s", what, got, goal)
	}
	note(t, what, got, goal, says)
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

var goals struct {
	sync.Mutex
	rows [][]string
}

// note keeps a line for the table.
func note(t *testing.T, what, got, goal, says string) {
	t.Helper()
	t.Logf("%s: %s (goal %s): %s", what, got, goal, says)
	goals.Lock()
	defer goals.Unlock()
	goals.rows = append(goals.rows, []string{t.Name(), what, got, goal, says})
}

func printGoals() {
	goals.Lock()
	defer goals.Unlock()
	slices.SortStableFunc(goals.rows, func(a,
		b []string) int {
		return strings.Compare(a[0], b[0])
	})
	last := ""
	for _, row := range goals.rows {
		name := row[0]
		if name == last {
			name = ""
		}
		last = row[0]
		fmt.Printf("%-38s %-42s %-20s %-12s %s\n", name, row[1], row[2], row[3], row[4])
	}
}
