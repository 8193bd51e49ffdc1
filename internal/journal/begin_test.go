package journal

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// A run is noted when it begins. One that does not begin changes nothing of what is on record, and
// leaves no file behind that it has made.
func TestRunBegins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "j.db")
	mustClose(t, mustOpen(t, path))
	if there, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(path))),
		"a*")); len(there) > 0 {
		t.Errorf("left behind: %q, %v", there, err)
	}
	for name, begin := range map[string]func(*Journal){
		"claim": func(j *Journal) { j.Claim(9, Fingerprint{}) },
		"put":   func(j *Journal) { j.Put(full(1), nil) },
		"begin": func(j *Journal) { _ = j.Begin(t.Context(), full(1)) },
		"wait": func(j *Journal) {
			j.KeepWait(Wait{Origin: "h",
				Until: time.Now().Add(time.Hour)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			first := mustOpen(t, path)
			begin(first)
			test.OK(t, first.Close(3))
			before := inspect(path)
			runs := func(want int) []Run {
				t.Helper()
				r := mustRead(t, path)
				defer r.Close()
				runs, err := r.Runs()
				if len(runs) != want || err != nil {
					t.Fatalf("%+v, %v, want %d", runs, err, want)
				}
				return runs
			}
			j := mustOpen(t, path)
			if runs(1)[0].ExitStatus != 3 {
				t.Error("the run that ended is not on record")
			}
			mustClose(t, j)
			equal(t, "after a run that has not begun", inspect(path), before)

			j = mustOpen(t, path)
			begin(j)
			test.OK(t, j.Flush())
			if last := runs(2)[1]; !last.Finished.IsZero() {
				t.Errorf("%+v", last)
			}
			mustClose(t, j)
			if last := runs(2)[1]; last.Finished.IsZero() || last.ExitStatus != 0 {
				t.Errorf("%+v", last)
			}
		})
	}
}
