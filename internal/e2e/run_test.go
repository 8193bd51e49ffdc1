package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// command returns `penstock send` with args.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := penstock()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin,
		append([]string{"send", "--progress", "none"}, args...)...)
	// A port that another server had before is another server's now.
	cmd.Env = append(os.Environ(), "PENSTOCK_STATE="+t.TempDir())
	return cmd
}

// send runs `penstock send` with args and fails the test unless it exits with want.
func send(t *testing.T, want int, args ...string) run {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	cmd := command(t, append([]string{"--report", file}, args...)...)
	r := run{began: time.Now()}
	share := idle()
	out, err := cmd.CombinedOutput()
	r.wall = time.Since(r.began)
	r.idle = share()
	r.said = string(out)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r.report)
	}
	if err != nil {
		t.Errorf("report: %v", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("%s\nexit status %d, want %d\n%s", out, got, want, r.timeline())
	}
	if testing.Verbose() {
		t.Logf("%s\n%s", r.timeline(), r.said)
	}
	return r
}

// A run is one run of penstock: its own report, and how it went seen from outside.
type run struct {
	began time.Time
	wall  time.Duration
	idle  float64 // as by idle
	said  string

	report struct {
		Requests struct {
			Sent int `json:"sent"`
		} `json:"requests"`
		Timeline struct {
			Columns []string `json:"columns"`
			Rows    [][]any  `json:"rows"`
		} `json:"timeline"`
	}
}

// timeline is what penstock did second by second.
func (r run) timeline() string {
	var b strings.Builder
	for _, name := range r.report.Timeline.Columns {
		fmt.Fprintf(&b, "%9s", name)
	}
	for _, row := range r.report.Timeline.Rows {
		b.WriteByte('\n')
		for _, v := range row {
			switch v := v.(type) {
			case float64:
				fmt.Fprintf(&b, "%9.4g", v)
			default:
				b.WriteString("        -")
			}
		}
	}
	return b.String()
}

// idle is the share of the processors' time that was not used, from now until the func that it
// returns is called; 0 where the system does not say.
func idle() (share func() float64) {
	before := processors()
	return func() float64 {
		var all, none float64
		for i, v := range processors() {
			if i >= len(before) {
				break
			}
			all += v - before[i]
			if i == 3 || i == 4 { // idle, and waiting for a disk
				none += v - before[i]
			}
		}
		return none / max(1, all)
	}
}

// processors is how the processors have spent their time, as Linux counts it.
func processors() (ticks []float64) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for _, field := range strings.Fields(line)[min(1, len(strings.Fields(line))):] {
		v, _ := strconv.ParseFloat(field, 64)
		ticks = append(ticks, v)
	}
	return ticks
}
