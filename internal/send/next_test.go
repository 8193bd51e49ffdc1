package send

import (
	"path/filepath"
	"testing"
)

// What failed and is not in the journal is sent by the next run.
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
		if sum.NotJournaled != 1 { // by which the command to go on does not go by the journal
			t.Fatalf("%d, %+v %s", sum.NotJournaled, sum.Items, errorsOf(sum))
		}
		writeFile(t, late, "late")
		w.stdin("http://127.0.0.1/{name}", "PUT", first, late)
		w.journal(name)
		w.run()
		if s.count() != 2 {
			t.Errorf("%d requests: the file that failed is not sent", s.count())
		}
	})
}
