package send

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/results"
)

// [journal lost] When one of the journal's files is removed, another run may begin: nothing more is
// sent.
func TestJournalRemovedUnderway(t *testing.T) {
	for _, suffix := range []string{"", "-wal", ".lock"} {
		for _, method := range []string{"PUT", "POST"} {
			name := filepath.Join(t.TempDir(), "j.db")
			s := &shelf{do: func(n int, _ http.ResponseWriter, _ *http.Request) bool {
				if n == 3 {
					if err := os.Remove(name + suffix); err != nil {
						t.Error(err)
					}
				}
				return false
			}}
			onFakeTime(t, 50, s.ServeHTTP, func(w *world) {
				w.method(method)
				w.Limits.Rate = 1
				w.journal(name)
				sum := w.run()
				w.ended(sum, exit.Local, 2, 0, 1, 0, 47)
				if s.count() != 3 {
					t.Errorf("%s: %d requests", suffix, s.count())
				}
				if !strings.Contains(errorsOf(sum), "was removed or replaced while in use") {
					t.Error(errorsOf(sum))
				}
			})
		}
	}
}

// So it ends if they are removed when its last row was written already: nothing else looks at them then.
func TestJournalRemovedAtTheEnd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no open file")
	}
	for _, suffix := range []string{"", "-wal", ".lock"} {
		name := filepath.Join(t.TempDir(), "j.db")
		onFakeTime(t, 1, new(shelf).ServeHTTP, func(w *world) {
			w.journal(name)
			w.Results = results.NewWriter(removing(name + suffix)) // a line is written after the row
			sum := w.run()
			w.ended(sum, exit.Local, 1, 0, 0, 0, 0)
			if want := "was removed or replaced while in use"; !strings.Contains(errorsOf(sum), want) {
				t.Errorf("without %q: no %q in %s", suffix, want, errorsOf(sum))
			}
		})
	}
}

// removing is a writer that removes a file.
type removing string

func (r removing) Write(p []byte) (int, error) { return len(p), os.Remove(string(r)) }
