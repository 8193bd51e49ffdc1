package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/lines"
	"github.com/penstock/penstock/internal/test"
)

// What cannot be sent is counted, and the others are sent; where nothing can be, that is an error.
func TestOneBadThingStopsNothing(t *testing.T) {
	tree(t, "d/a", "d/dangling -> nowhere", "d/loop -> loop", "d/sub/b", "d/sub/up -> ..", "c")
	writeManifest(t, "m", `{"path":"c"}`+"\n"+`{"path":"none"}`+"\n"+`{"path":"d"}`+"\n")
	tmpl := to(t, "http://h/{path}")
	for _, c := range []struct {
		o        Options
		items    int64
		failures []string
	}{
		{Options{Paths: []string{"d"}, Follow: true}, 4, []string{"d/dangling", "d/loop"}},
		{Options{Paths: []string{"c", "none", "d/*.csv", "none/*", "d"}}, 6,
			[]string{"none", "d/*.csv", "none/*"}},
		{Options{Manifest: "m"}, 3, []string{"none", "d"}},
	} {
		c.o.Template = tmpl
		sum, err := scan(t, c.o)
		var failures []string
		for _, e := range sum.Failures {
			failures = append(failures, filepath.ToSlash(e.Item.Path))
		}
		if diff := cmp.Diff(c.failures, failures); diff != "" || err != nil ||
			sum.Items != c.items || sum.Failed != int64(len(c.failures)) {
			t.Errorf("%+v, %v\n-want +got:\n%s", sum, err, diff)
		}
		// Items has the same ones.
		failed, good := 0, 0
		for _, got := range sent(t, c.o) {
			if strings.Contains(got, "! ") {
				failed++
			} else {
				good++
			}
		}
		if failed != len(c.failures) || int64(failed+good) != c.items {
			t.Errorf("Items has %d failures and %d others", failed, good)
		}
	}
	for _, o := range []Options{{Paths: []string{"none"}}, {Paths: []string{"none", "*.nope"}},
		{Paths: []string{"d/dangling"}}} {
		o.Template = tmpl
		_, err := scan(t, o)
		expectError(t, err, filepath.ToSlash(o.Paths[0]))
	}
}

// All wrong lines of a manifest are told at once, twenty at most.
func TestAllWrongLines(t *testing.T) {
	tree(t, "a")
	writeManifest(t, "m", "x\n"+strings.Repeat("x", 2*lines.MaxLen)+"\n")
	_, err := scan(t, Options{Manifest: "m", Template: to(t, "http://h/{path}")})
	if err == nil || !strings.Contains(err.Error(), "line 1: no JSON") ||
		!strings.Contains(err.Error(), "line 2: the line is longer") {
		t.Errorf("%v", err)
	}
	lines := strings.Repeat("x\n"+`{"path":"a","method":"P UT"}`+"\n", 15)
	writeManifest(t, "m", lines+`{"path":"none"}`+"\n"+`{"path":"a"}`+"\n")
	_, err = scan(t, Options{Manifest: "m", Template: to(t, "http://h/{path}")})
	var all *LinesError
	if !errors.As(err, &all) || len(all.Errs) != 20 || all.More != 10 {
		t.Fatalf("%v", err)
	}
	for i, line := range all.Lines()[:20] {
		if want := []string{"no JSON", "no HTTP method"}[i%2]; !strings.Contains(line.Error(),
			want) {
			t.Errorf("%d: %s", i, line)
		}
	}
	if last := all.Lines()[20]; last.Error() != "and 10 more" {
		t.Error(last)
	}
	writeManifest(t, "m", strings.Repeat(
		`{"path":"a","url":"http://h/a"}`+"\n"+`{"path":"a","url":"http://h/b"}`+"\n", 2))
	if _, err = scan(t, Options{Manifest: "m"}); !errors.As(err, &all) || len(all.Errs) != 2 {
		t.Errorf("%v", err)
	}
}

func TestManifestMistakes(t *testing.T) {
	tree(t, "a")
	tmpl := to(t, "http://h/{customer}/{path}")
	for line, want := range map[string]string{
		`{"path":"a"}`: `line 1: no "customer", which the URL has as {customer}: ` +
			`add it to the line, or give the line a "url" of its own`,
		`{"path":"a","customer":1,"url":"http://h/{name}"}`: "line 1: " +
			`"url" has the variable {name}`,
		`{"path":"a","customer":1,"headers":{"X":"{sha256}"}}`: "line 1: " +
			`"headers": "X": variables such as {sha256}`,
		`{"path":"a","customer":1,"key":"{name}"}`: "line 1: " +
			`"key": variables such as {name}`,
		`{"path":"a","customer":1,"headers":{"idempotency-key":"k"}}`: "line 1: " +
			`"headers": Idempotency-Key: the run sends it`,
		`{"path":"a","customer":1,"headers":{"X":"{\"name\":1}"},"method":"q "}`: `"method"`,
	} {
		writeManifest(t, "m", line)
		_, err := scan(t, Options{Manifest: "m", Template: tmpl, KeyHeader: "Idempotency-Key"})
		expectError(t, err, want)
	}
	writeManifest(t, "m", `{"path":"a","customer":1,"methd":"POST","URL":"x","header":"y","ky":1,`+
		`"size":2,"sub":"id"}`)
	sum, err := scan(t, Options{Manifest: "m", Template: tmpl})
	want := []string{
		`the manifest has the field "URL", which is not used: did you mean "url"?`,
		`the manifest has the field "header", which is not used: did you mean "headers"?`,
		`the manifest has the field "ky", which is not used: did you mean "key"?`,
		`the manifest has the field "methd", which is not used: did you mean "method"?`,
	}
	if diff := cmp.Diff(want, sum.Warnings); diff != "" || err != nil {
		t.Errorf("%v\n-want +got:\n%s", err, diff)
	}
	if sum, err = scan(t, Options{Manifest: "m",
		Template: to(t, "http://h/{methd}/{URL}/{header}/{ky}")}); err != nil ||
		sum.Warnings != nil {
		t.Errorf("fields that the URL uses: %q, %v", sum.Warnings, err)
	}
}

// The run's own files are left out whatever leads to them, and those that come to be during the run
// too.
func TestOwnFiles(t *testing.T) {
	tree(t, "d/a", "d/results", "d/token", "d/also -> token", "link -> d", "m.ndjson", "elsewhere",
		"d/out -> ../elsewhere")
	if err := os.Link("d/token", "d/hard"); err != nil {
		t.Skip(err)
	}
	s, err := New(Options{
		Paths: []string{"d"}, Follow: true, Template: to(t, "http://h/{path}"),
		Written: []string{"link/results", "elsewhere", "link/later"}, Read: []string{"d/token"},
	})
	test.OK(t, err)
	s.Own("link/journal", "link/journal-wal")
	check := func(written int64) {
		t.Helper()
		s.found.Store(nil) // Items looks again
		sum, err := s.Scan(t.Context())
		if err != nil || sum.Items != 1 || sum.LeftOut != (LeftOut{Read: 3, Written: written}) {
			t.Errorf("%+v, %v", sum, err)
		}
		s.found.Store(nil)
		for item, err := range s.Items() {
			if item.Rel == "a" { // the listing was read before
				continue
			}
			t.Errorf("%s, %v", item.Path, err)
		}
	}
	check(2)
	for _, name := range []string{"d/journal", "d/journal-wal", "d/later"} {
		test.OK(t, os.WriteFile(name, nil, 0o600))
	}
	check(5)
	for _, o := range []Options{
		{Paths: []string{"d/a", "d/results"}, Written: []string{"link/results"}},
		{Paths: []string{"d/a", "d/hard"}, Read: []string{"d/token"}},
	} {
		o.Template = to(t, "http://h/{path}")
		_, err := scan(t, o)
		expectError(t, err, "this run", "so it cannot send it")
	}
	writeManifest(t, "m.ndjson", `{"path":"d/a"}`+"\n"+`{"path":"m.ndjson"}`)
	_, err = scan(t, Options{Manifest: "m.ndjson", Template: to(t, "http://h/{path}")})
	expectError(t, err, `"m.ndjson"`, "this run reads that file")
}

func TestMinAge(t *testing.T) {
	tree(t, "d/old", "d/new", "d/tomorrow", "new")
	for name, age := range map[string]time.Duration{"d/old": time.Minute, "d/new": 10 * time.Second,
		"d/tomorrow": -24 * time.Hour, "new": 10 * time.Second} {
		test.OK(t, os.Chtimes(name, time.Time{}, time.Now().Add(-age)))
	}
	var left []string
	o := Options{Paths: []string{"d", "new"}, Template: to(t, "http://h/{path}"),
		MinAge: 30 * time.Second,
		OnLeftOut: func(path string, why Reason) {
			if why != Young {
				t.Errorf("%s: reason %d", path, why)
			}
			left = append(left, filepath.ToSlash(path))
		}}
	sum, err := scan(t, o)
	if err != nil || sum.Items != 1 || sum.LeftOut != (LeftOut{Young: 3}) {
		t.Errorf("%+v, %v", sum, err)
	}
	want := []string{"d/new", "d/tomorrow", "new"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Error(diff)
	}
	expectSent(t, o, "d/old PUT /old")
	writeManifest(t, "m", `{"path":"d/old"}`+"\n"+`{"path":"d/new"}`)
	expectSent(t, Options{Manifest: "m", Template: o.Template, MinAge: o.MinAge},
		"d/old PUT /d/old")
}

func TestNulls(t *testing.T) {
	tree(t, "a", "b c", "d\ne")
	o := Options{Paths: []string{"-"}, Template: to(t, "http://h/{path}"),
		Stdin: strings.NewReader("a\x00b c\x00\x00d\ne"), Null: true}
	expectSent(t, o, "a PUT /a", "b c PUT /b%20c", "d\ne PUT /d%0Ae")
	o.Stdin, o.Null = strings.NewReader("a\x00b c\x00"), false
	if got := sent(t, o); len(got) != 1 || !strings.Contains(got[0], "NUL") {
		t.Errorf("%q", got)
	}
}
