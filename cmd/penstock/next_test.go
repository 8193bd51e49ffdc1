package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/test"
)

// moody accepts some files, and others only when it is well. It notes which names it was sent.
type moody struct {
	sync.Mutex
	well bool
	sent map[string]bool
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.Lock()
	defer m.Unlock()
	name := path.Base(r.URL.Path)
	m.sent[name] = true
	switch {
	case m.well:
	case strings.HasPrefix(name, "bad"):
		w.WriteHeader(http.StatusNotFound)
	case strings.HasPrefix(name, "doubt"):
		w.WriteHeader(http.StatusInternalServerError)
	case strings.HasPrefix(name, "wait"):
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (m *moody) begin(well bool) {
	m.Lock()
	defer m.Unlock()
	m.well, m.sent = well, map[string]bool{}
}

func (m *moody) got() []string {
	m.Lock()
	defer m.Unlock()
	return slices.Sorted(maps.Keys(m.sent))
}

// runs runs the program.
func runs(args ...string) (status int, text string) {
	var out bytes.Buffer
	status = run(context.Background(), args, strings.NewReader(""), &out, &out)
	return status, out.String()
}

// pasted returns the words of a command as a shell reads them.
func pasted(t *testing.T, command string) []string {
	out, err := exec.Command("bash", "--norc", "-c", `printf '%s\0' `+command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")[1:]
}

// [nothing lost] Each command that is printed is one that the program takes, and sends or asks
// about what is said of it.
func TestPrintedCommands(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil || runtime.GOOS == "windows" {
		t.Skip("no bash to read them")
	}
	m := &moody{}
	server := httptest.NewServer(m)
	defer server.Close()
	t.Chdir(t.TempDir())
	t.Setenv(stateVar, "state")
	names := []string{"a", "bad 1", "bad2", "doubt", "good", "wait"}
	var manifest strings.Builder
	for _, name := range names {
		fmt.Fprintf(&manifest, "{\"path\":%q}\n", "data/"+name)
		write(t, "data/"+name, name)
	}
	write(t, "m.ndjson", manifest.String())
	to := []string{"--to", server.URL + "/{name}", "--method", "POST", "--concurrency", "1",
		"--attempts", "1", "--max-wait", "1m"}
	first := slices.Concat([]string{"send", "--results", "r.ndjson", "--job", "j"}, to,
		[]string{"data"})
	m.begin(false)
	if status, text := runs(first...); status != 5 {
		t.Fatalf("exit status %d\n%s", status, text)
	}
	// Results of another run, which knew otherwise of one file.
	var results strings.Builder
	for line := range strings.Lines(readFile(t, "r.ndjson")) {
		if strings.Contains(line, "bad2") {
			line = strings.Replace(line, `"status":"failed"`, `"status":"delivered"`, 1)
		}
		results.WriteString(line)
	}
	write(t, "results", results.String())
	forgetWaits(t)
	before := readFile(t, "state/j.db")

	run := 0
	for _, source := range [][]string{{"data"}, {"--from", "results", "data"},
		{"--manifest", "m.ndjson"}, {"--manifest", "results"}, {"--follow", "data"},
		{"--follow", "--from", "results", "data"}} {
		// there is a link that leads nowhere, of which the journal has nothing
		if source[0] == "--follow" {
			_ = os.Symlink("../target", "data/link")
		}
		for _, only := range []string{"", "failed", "delivered", "delivered,skipped",
			"unknown,deferred", "failed,deferred"} {
			for _, more := range [][]string{{}, {"--again"}, {"--resend-unknown"},
				{"--no-journal"}} {
				if run++; race.Skips(run) {
					continue
				}
				journal := []string{"--job", "j"}
				if len(more) > 0 && more[0] == "--no-journal" {
					journal = nil
				}
				args := slices.Concat([]string{"send", "--results", "now.ndjson"}, more, journal,
					to)
				if only != "" {
					args = append(args, "--only", only)
				}
				args = append(args, source...)
				write(t, "state/j.db", before)
				m.begin(false)
				status, text := runs(args...)
				if status == 2 && !strings.Contains(text, "exit status 2") {
					continue // these do not go together
				}
				ended := endedAs(t, "now.ndjson")
				commands := commandsIn(text)
				if journal != nil {
					after := readFile(t, "state/j.db")
					_, shown := runs("journal", "show", "j")
					for what, command := range commandsIn(shown) {
						if strings.HasPrefix(what, "to go on") || commands[what] == "" {
							commands[what+" (shown)"] = command
						}
					}
					write(t, "state/j.db", after)
				}
				after := ""
				if journal != nil {
					after = readFile(t, "state/j.db")
				}
				for what, command := range commands {
					if journal != nil {
						write(t, "state/j.db", after)
						forgetWaits(t)
					}
					m.begin(true)
					write(t, "target", "")
					again := pasted(t, command)
					asks := slices.Contains(again, "--verify") // some time after the run before
					if asks {
						again = slices.Insert(again, 1, "--dry-run")
					}
					status, text := runs(again...)
					sent := m.got()
					test.OK(t, os.Remove("target"))
					complain := func(why string) {
						t.Errorf("penstock %q\nsays %s: %s\nwhich ends with %d, sends %q: %s\n%s",
							args, what, command, status, sent, why, text)
					}
					if status == 2 {
						complain("it is wrong")
						continue
					}
					want := map[string]bool{}
					for _, state := range []string{"failed", "deferred", "unknown"} {
						if strings.Contains(what, state) || strings.Contains(what, "to go on") &&
							state != "unknown" || strings.Contains(what, "all files") {
							for _, name := range ended[state] {
								want[name] = true
							}
						}
					}
					other := false
					for what := range commands {
						other = other || strings.HasPrefix(what, "to send all that is")
					}
					if strings.Contains(what, "shown") || strings.Contains(what, "to go on") &&
						other {
						delete(want, "link")
					}
					if asks {
						if !strings.Contains(text,
							fmt.Sprintf("asked about first: %d that may have arrived", len(want))) {
							complain("it does not ask")
						}
						continue
					}
					for name := range want {
						if !slices.Contains(sent, name) {
							complain("it does not send " + name)
						}
					}
					if strings.Contains(what, "again") && !strings.Contains(what, "all") &&
						!strings.Contains(what, "shown") {
						for _, name := range slices.Concat(ended["delivered"], ended["skipped"]) {
							if slices.Contains(sent, name) {
								complain("it sends " + name)
							}
						}
					}
				}
			}
		}
	}
}

// commandsIn returns the commands that a text has, by what is said of them.
func commandsIn(text string) map[string]string {
	commands := map[string]string{}
	for line := range strings.Lines(text) {
		if what, command, ok := strings.Cut(strings.TrimSuffix(line, "\n"),
			": penstock send "); ok && what != "last command" {
			commands[what] = "penstock send " + command
		}
	}
	return commands
}

// endedAs returns the names in results, by their status.
func endedAs(t *testing.T, name string) map[string][]string {
	ended := map[string][]string{}
	for line := range strings.Lines(readFile(t, name)) {
		_, rest, _ := strings.Cut(line, `"path":"data/`)
		name, rest, _ := strings.Cut(rest, `"`)
		_, rest, _ = strings.Cut(rest, `"status":"`)
		status, _, _ := strings.Cut(rest, `"`)
		ended[status] = append(ended[status], name)
	}
	return ended
}

func write(t *testing.T, name, text string) {
	t.Helper()
	test.OK(t, os.MkdirAll(filepath.Dir(name), 0o700))
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	test.OK(t, err)
	return string(text)
}

// forgetWaits lets a run begin as if the wait were over that the server asked for.
func forgetWaits(t *testing.T) {
	t.Helper()
	db, err := sql.Open("sqlite", "state/j.db")
	test.OK(t, err)
	defer db.Close()
	if _, err := db.Exec("DELETE FROM wait"); err != nil {
		t.Fatal(err)
	}
}
