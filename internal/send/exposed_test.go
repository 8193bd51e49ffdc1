package send

import (
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/exit"
)

// A run warns once, whatever single items have of their own.
func TestExposedIsToldOnce(t *testing.T) {
	for name, row := range map[string]struct {
		header http.Header
		url    string
		own    string
		times  int
	}{
		"for all":       {http.Header{"Authorization": {"Bearer sesame"}}, "http://a.example/x", "", 1},
		"and their own": {http.Header{"Authorization": {"Bearer sesame"}}, "http://a.example/x", `,"headers":{"X-Token":"sesame"}`, 1},
		"their own":     {nil, "http://a.example/x", `,"headers":{"X-Token":"sesame"}`, 1},
		"in their URLs": {nil, "http://u:sesame@a.example/x", "", 1},
		"at home":       {nil, "http://127.0.0.1/x", `,"headers":{"X-Token":"sesame"}`, 0},
		"nothing":       {nil, "http://a.example/x", "", 0},
	} {
		onFakeTime(t, 1, atOnce, func(w *world) {
			var lines strings.Builder
			for _, n := range []string{"1", "2", "3"} {
				lines.WriteString(`{"path":"` + w.firstFile() + `","url":"` + row.url + n + `"` + row.own + "}\n")
			}
			w.manifest(lines.String())
			w.Header = row.header
			if row.header != nil {
				w.HeaderOrigin = "http://a.example"
			}
			w.ended(w.run(), exit.Delivered, 3, 0, 0, 0, 0)
			talk := w.watch.talk.String()
			if n := strings.Count(talk, "others can read it"); n != row.times || strings.Contains(talk, "sesame") {
				t.Errorf("%s: said %d times, want %d:\n%s", name, n, row.times, talk)
			}
		})
	}
}
