package send

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/report"
)

// A command with another --only is still the same command.
func TestCommandOnly(t *testing.T) {
	for _, c := range [][2]string{
		{"penstock send --only unknown --to U data", "penstock send --only failed --to U data"},
		{`penstock send "--only=failed,unknown" --to U data`, "penstock send --only failed --to U data"},
		{`penstock send data --only "failed,unknown"`, "penstock send --only failed data"},
		{`penstock send --from "my results" --only delivered data`, "penstock send --only failed data"},
		{`penstock send --from=r.ndjson "--only=delivered,skipped" -- --only a`, "penstock send --only failed -- --only a"},
		{`penstock send "a --only b" 'it'\''s --from c' $'\'\012 --from d'`, `penstock send --only failed "a --only b" 'it'\''s --from c' $'\'\012 --from d'`},
	} {
		if got := parseCommand(c[0]).only("failed").String(); got != c[1] {
			t.Errorf("%s\n  gives %s", c[0], got)
		}
	}
}

// what failed is sent again by the command that says so.
func TestFailedIsNotForgotten(t *testing.T) {
	s := new(shelf)
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 2, s.ServeHTTP, func(w *world) {
		first := w.firstFile()
		dir := filepath.Dir(first)
		late := filepath.Join(dir, "late")
		w.stdin("http://127.0.0.1/{name}", "PUT", first, late)
		w.journal(name)
		sum := w.run()
		t.Logf("%+v %s %q", sum.Items, errorsOf(sum), sum.Next)
		if err := os.WriteFile(late, []byte("late"), 0o600); err != nil {
			t.Fatal(err)
		}
		if len(sum.Next) != 1 {
			t.Fatal(sum.Next)
		}
		if strings.Contains(sum.Next[0], "--only failed") {
			w.Only = []item.Fate{item.Failed}
		}
		w.stdin("http://127.0.0.1/{name}", "PUT", first, late)
		w.journal(name)
		sum = w.run()
		t.Logf("%d %+v %s %q", sum.ExitStatus, sum.Items, errorsOf(sum), sum.Next)
		if s.count() != 2 {
			t.Errorf("%d requests: the file that failed is not sent", s.count())
		}
	})
}

// A run of --only that is broken off goes on also with what it has deferred.
func TestOnlyGoesOn(t *testing.T) {
	s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			w.WriteHeader(http.StatusNotFound)
		case 2:
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n <= 2
	}}
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Failed: 1})
		w.Only, w.MaxWait = []item.Fate{item.Failed}, time.Minute
		w.journal(name)
		w.Command = "penstock send --only failed"
		sum := w.run()
		w.items(sum, report.ItemCounts{Total: 1, Deferred: 1})
		if len(sum.Next) == 0 || sum.Next[0] != "to go on: penstock send --only failed,deferred" {
			w.Errorf("%q", sum.Next)
		}
	})
}
