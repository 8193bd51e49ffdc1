package send

import (
	"crypto/md5"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/header"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

// filled sets a header with variables, which source must know, too.
func (w *world) filled(name, value string) (uses []compose.Use) {
	t, err := template.Parse(value, template.PlaceHeader)
	test.OK(w, err)
	w.Header = http.Header{name: {value}}
	w.Filled = []header.Field{{Name: name, Value: t}}
	return []compose.Use{{Place: "the header " + name, Vars: t.Vars()}}
}

// The UUID of an item is the same in each attempt and each run; what depends on the content is that
// of the content that is sent. The server is asked where that went.
func TestVariablesOverAttempts(t *testing.T) {
	var mu sync.Mutex
	var calls []string
	fail := true
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Sum"))
		switch {
		case r.Method == "HEAD":
			w.WriteHeader(http.StatusNotFound)
		case fail && len(calls) < 3:
			w.WriteHeader(http.StatusInternalServerError)
		case fail:
			w.WriteHeader(http.StatusBadRequest)
		}
	}, func(w *world) {
		file := w.firstFile()
		from := func() {
			w.from("http://127.0.0.1/{uuid}/{md5}", source.Options{
				Paths: []string{filepath.Dir(file)}, Uses: w.filled("X-Sum", "{md5}")})
		}
		from()
		w.Attempts = 4
		sum := func(text string) string { return fmt.Sprintf("%x", md5.Sum([]byte(text))) }
		s := w.journaled()
		w.ended(s, exit.Items, 0, 1, 0, 0, 0)
		if !strings.Contains(errorsOf(s), "/"+sum("x")) {
			t.Errorf("the URL is not shown as it was: %s", errorsOf(s))
		}
		test.OK(t, os.WriteFile(file, []byte("changed"), 0o600))
		fail = false
		from()
		w.ended(w.journaled(), exit.Delivered, 1, 0, 0, 0, 0)
		w.items(w.journaled(), report.ItemCounts{Total: 1, Skipped: 1})
		uuid, _, _ := strings.Cut(strings.TrimPrefix(calls[0], "PUT /"), "/")
		want := []string{"x", "x", "x", "changed"}
		for i, text := range want {
			want[i] = fmt.Sprintf("PUT /%s/%s %s", uuid, sum(text), sum(text))
		}
		if fmt.Sprint(calls) != fmt.Sprint(want) || len(uuid) != 36 {
			t.Errorf("%q, want %q", calls, want)
		}
	})
}

// A file in doubt is asked for at the URL that it was sent to.
func TestVerifyWhereItWent(t *testing.T) {
	var calls []string
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		calls = append(calls, r.Method+" "+r.URL.Path)
		switch r.Method {
		case "POST":
			w.WriteHeader(http.StatusInternalServerError)
		case "HEAD", "GET":
			w.Header().Set("Content-Length", "1")
			_, _ = io.WriteString(w, "x")
		}
	}, func(w *world) {
		w.from("http://127.0.0.1/{md5}/{name}", source.Options{Method: "POST",
			Paths: []string{filepath.Dir(w.firstFile())}})
		w.Verify = true
		w.journaled()
		w.journaled()
		for _, call := range calls[1:] {
			_, where, _ := strings.Cut(call, " ")
			if where != strings.TrimPrefix(calls[0], "POST ") {
				t.Errorf("%q", calls)
			}
		}
		if len(calls) < 2 {
			t.Errorf("it is not asked for: %q", calls)
		}
	})
}

// Two lines about one file that differ in a field that is sent are two items.
func TestLinesThatDifferInAField(t *testing.T) {
	var titles []string
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		titles = append(titles, r.Header.Get("X-Title"))
	}, func(w *world) {
		name := filepath.Join(w.TempDir(), "manifest")
		var lines string
		for _, title := range []string{"a", "b"} {
			lines += fmt.Sprintf("{\"path\":%q,\"title\":%q,\"other\":%q}\n", w.firstFile(), title,
				title)
		}
		writeFile(w.T, name, lines)
		w.Limits.InFlight = 1
		o := source.Options{Manifest: name, Method: "POST", Uses: w.filled("X-Title", "{title}")}
		w.from("http://127.0.0.1/", o)
		w.ended(w.journaled(), exit.Delivered, 2, 0, 0, 0, 0)
		if fmt.Sprint(titles) != "[a b]" {
			t.Errorf("%q", titles)
		}
		// One that changes where it is not sent stays the same.
		writeFile(w.T, name, strings.ReplaceAll(lines, `"other":"a"`, `"other":"c"`))
		w.from("http://127.0.0.1/", o)
		w.items(w.journaled(), report.ItemCounts{Total: 2, Skipped: 2})
	})
}
