package send

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// When one of the journal's files is removed, another run may begin: nothing more is sent.
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
				w.ended(sum, ExitLocal, 2, 0, 1, 0, 47)
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
