package servertest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	return exec.CommandContext(t.Context(), bin, append([]string{"send", "--progress", "none"}, args...)...)
}

// send runs `penstock send` with args and fails the test unless it exits with want.
func send(t *testing.T, want int, args ...string) run {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	cmd := command(t, append([]string{"--report", file}, args...)...)
	r := run{began: time.Now()}
	lateness := watchMachine()
	out, err := cmd.CombinedOutput()
	r.wall = time.Since(r.began)
	r.late = lateness()
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
		t.Log(r.timeline())
	}
	return r
}

// A run is one run of penstock: its own report, and how it went seen from outside.
type run struct {
	began time.Time
	wall  time.Duration
	late  time.Duration // as by watchMachine
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

// watchMachine measures, until the func that it returns is called, how late on
// average a process gets its turn here. Where that is much, other work disturbs
// what is measured.
func watchMachine() (lateness func() time.Duration) {
	stop, done := make(chan struct{}), make(chan time.Duration)
	go func() {
		ticks, late := 0, time.Duration(0)
		for {
			due := time.Now().Add(10 * time.Millisecond)
			select {
			case <-stop:
				done <- late / time.Duration(max(1, ticks))
				return
			case <-time.After(time.Until(due)):
				ticks++
				late += time.Since(due)
			}
		}
	}()
	return func() time.Duration { close(stop); return <-done }
}
