package send

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
)

// stdin sets a list of files on standard input as the source.
func (w *world) stdin(to, method string, lines ...string) {
	w.Helper()
	var err error
	t, err := source.ParseTemplate(to)
	if err != nil {
		w.Fatal(err)
	}
	w.To = to
	if w.Source, err = source.New(source.Options{Paths: []string{"-"}, Stdin: strings.NewReader(strings.Join(lines, "\n") + "\n"), Method: method, Template: t}); err != nil {
		w.Fatal(err)
	}
	if w.Found, err = w.Source.Scan(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// An item that is there twice must not change what the journal has of the first.
func TestTwinForgetsDelivery(t *testing.T) {
	s := new(shelf)
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 5, s.ServeHTTP, func(w *world) {
		first := w.firstFile()
		var list []string
		for it := range w.Source.Items() {
			list = append(list, it.Path)
		}
		w.Workers, w.Limits.Rate = 1, 1
		w.stdin("http://127.0.0.1/upload?v=1", "POST", append(list, first)...)
		w.journal(name)
		sum := w.run()
		t.Logf("%+v %s", sum.Items, errorsOf(sum))
		w.stdin("http://127.0.0.1/upload?v=1", "POST", list...)
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 5, Skipped: 5})
		if s.count() != 5 {
			w.Errorf("%d requests for five files", s.count())
		}
	})
}
