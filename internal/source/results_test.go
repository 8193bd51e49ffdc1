package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

// writeResults writes a results file as a run does.
func writeResults(t testing.TB, name string, items ...results.Result) {
	t.Helper()
	var b bytes.Buffer
	r := results.NewWriter(&b)
	for _, it := range items {
		test.OK(t, r.Write(it))
	}
	test.OK(t, r.Close(t.Context()))
	writeManifest(t, name, b.String())
}

func resultLine(name, url string, status item.Fate) results.Result {
	return results.Result{Path: "d/" + name, Rel: name, URL: url, Method: "PUT", Status: status}
}

func TestResultsFedBack(t *testing.T) {
	tree(t, "d/a", "d/b", "d/c", "d/e", "d/f")
	writeResults(t, "out/r.ndjson",
		resultLine("a", "http://h/1/a", item.Failed),
		resultLine("b", "http://h/1/b", item.Delivered),
		results.Result{Path: "d/c", Rel: "c", URL: "https://other/c?x", Method: "POST", Key: "k-c",
			Status: item.Unknown},
		resultLine("e", "http://h/1/e?sig=***", item.Deferred),
		resultLine("f", "http://h/1/f", item.Failed),
		resultLine("b", "http://h/1/b", item.Skipped),
		resultLine("f", "http://h/1/f", item.Delivered),
	)
	// The folder of the results is not that of the files.
	o := Options{Manifest: "out/r.ndjson", Template: to(t, "http://u:p@h/1/{path}?sig=s3cret")}
	for only, want := range map[string][]string{
		"failed":          {"d/a PUT /1/a"},
		"delivered":       {"d/b PUT /1/b", "d/f PUT /1/f"},
		"skipped":         {"d/b PUT /1/b"},
		"failed deferred": {"d/a PUT /1/a", "d/e PUT /1/e?sig=s3cret"},
		"unknown":         {"d/c POST https://other/c?x"},
	} {
		o.Only = 0
		for _, name := range strings.Fields(only) {
			o.Only |= item.Select(name)
		}
		expectSent(t, o, want...)
	}
	o.Only = item.FatesOf(item.Failed, item.Unknown, item.Deferred)
	s := mustNew(t, o)
	if !s.FromResults() {
		t.Error("nobody is told that results select")
	}
	auth := http.Header{"Authorization": {"Basic dTpw"}}
	want := []item.Item{
		{Path: "d/a", Rel: "a", Header: auth},
		{Path: "d/c", Rel: "c", Key: "k-c"}, // on another server, without credentials
		{Path: "d/e", Rel: "e", Header: auth},
	}
	for range 2 {
		i := 0
		for it, err := range s.Items() {
			if got := (item.Item{Path: it.Path, Rel: it.Rel, Header: it.Header,
				Key: it.Key}); err != nil || !cmp.Equal(got, want[i]) {
				t.Errorf("%+v, %v, want %+v", got, err, want[i])
			}
			if i++; it.Size != 3 || it.ModTime.IsZero() {
				t.Errorf("%+v lacks what its file says", it)
			}
		}
		if i != len(want) {
			t.Errorf("%d items", i)
		}
		sum, err := s.Scan(t.Context())
		if err != nil || sum.Items != 3 || sum.Bytes != 9 || sum.Torn ||
			sum.URLs[2] != "http://h/1/e?sig=***" {
			t.Errorf("%+v, %v", sum, err)
		}
	}
}

// What a run made of the file's content is made anew.
func TestResultsMadeKeys(t *testing.T) {
	tree(t, "d/a", "d/b")
	writeResults(t, "r",
		results.Result{Path: "d/a", URL: "http://h/", Method: "POST", Key: "made", KeyMade: true,
			Status: item.Failed},
		results.Result{Path: "d/b", URL: "http://h/", Method: "POST", Key: "given",
			Status: item.Failed},
	)
	s := mustNew(t, Options{Manifest: "r", Only: item.FatesOf(item.Failed)})
	var keys []string
	for _, it := range items(t, s) {
		keys = append(keys, it.Key)
	}
	if diff := cmp.Diff([]string{"", "given"}, keys); diff != "" {
		t.Error(diff)
	}
}

func TestResultsRefuse(t *testing.T) {
	tree(t, "d/a")
	const good = `{"type":"item","path":"d/a","rel":"a","url":"http://h/a","method":"PUT",` +
		`"status":"failed"}`
	tmpl := to(t, "http://h/{path}?sig=s3cret")
	for _, c := range []struct {
		tmpl        *template.URL
		lines, want string
	}{
		{tmpl, strings.Replace(good, "failed", "fialed", 1),
			`line 1: the status "fialed" is not known: there are delivered, failed,`},
		{tmpl, good + "\n" + strings.Replace(good, "failed", "", 1),
			`line 2: the status "" is not known`},
		{tmpl, good + "\n" + good[:50] + "\n" + good, "line 2: no JSON"},
		{tmpl, good + "\n\n" + `{"path":"d/a"}`, "line 3: no line of results"},
		{tmpl, good + "\n" + `{"type":"item","path":"d/a"}`, "line 2: no line of results"},
		{tmpl, good + "\n" + `{"type":"item","status":"failed"}`, `line 2: no "path"`},
		{tmpl, good + "\n" + `{"type":"item","status":"failed","path":""}`, `line 2: no "path"`},
		{tmpl, good + "\n" + `{"type":"item","status":"failed","path":["d/a"]}`,
			`line 2: "path": neither`},
		{tmpl, good + "\n" + `{"type":"item","status":"failed","path":"d/a","path":"d/b"}`,
			`line 2: "path" is given twice`},
		{tmpl, good + "\n" + `{"type":"item","status":"failed","path":"x","path_base64":"?"}`,
			"line 2: a name is not valid base64"},
		{tmpl, strings.Replace(good, "PUT", "P T", 1), "no HTTP method"},
		{tmpl, strings.Replace(good, "http://h/a", "h/a", 1), "http://"},
		{tmpl, strings.Replace(good, `"method"`, `"key":"a\nb","method"`, 1), "newline"},
		{tmpl, strings.Replace(good, "h/a", "h/b?sig=***", 1), "about: http://h/a?sig=***"},
		{nil, strings.Replace(good, "h/a", "h/a?sig=***", 1), "hide a part of the URL"},
		{nil, strings.Replace(good, "http://h/a", "***", 1), "hide a part of the URL"},
		{nil, strings.Replace(good, "http://h/a", "", 1), "hide a part of the URL"},
		{to(t, "http://h/{id}/{path}?sig=s3cret"), strings.Replace(good, "h/a", "h/1/a?sig=***", 1),
			"about: id"},
		{to(t, "http://h/{status}?sig=s3cret"), strings.Replace(good, "h/a", "h/failed?sig=***", 1),
			"about: status"},
		{to(t, "http://h/{key}?sig=s3cret"), strings.Replace(good, "h/a", "h/k?sig=***", 1),
			"about: key"},
		{tmpl, strings.Replace(good, `"rel":"a","url":"http://h/a"`, `"url":"http://h/a?sig=***"`,
			1), "about: path"},
	} {
		writeManifest(t, "r", c.lines+"\n")
		_, err := scan(t, Options{Manifest: "r", Template: c.tmpl, Only: item.FatesOf(item.Failed)})
		expectError(t, err, c.want, `manifest "r" line `)
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a secret is shown: %v", err)
		}
	}
	// An ordinary manifest with results in it.
	writeManifest(t, "r", `{"path":"d/a","type":"item"}`+"\n"+good+"\n")
	for _, only := range []item.Fates{0, item.FatesOf(item.Failed)} {
		_, err := scan(t, Options{Manifest: "r", Template: tmpl, Only: only})
		expectError(t, err, "line 2: this is a line of results, but the first line is not")
	}

	writeManifest(t, "r", good+"\n")
	writeManifest(t, "m", `{"path":"d/a"}`+"\n")
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Manifest: "r"}, "has results"},
		{Options{Manifest: "m", From: "r"}, "from "},
		{Options{Manifest: "m", From: "nope", Only: item.FatesOf(item.Failed)}, `from "nope"`},
		{Options{Manifest: "m", From: "d", Only: item.FatesOf(item.Failed)},
			`from "d": not a regular file`},
		{Options{Manifest: "m", From: "m", Only: item.FatesOf(item.Failed),
			Written: []string{"x", "./d/../m"}}, "this run would overwrite it"},
		{Options{Manifest: "m", From: "r", Only: item.FatesOf(item.Failed),
			Written: []string{"./r"}}, `from "r": this run would overwrite it, as `},
		{Options{Manifest: "r", Only: item.FatesOf(item.Failed), Written: []string{"r"}},
			`manifest "r": this run would overwrite it, as `},
		{Options{Manifest: "r", From: "r", Only: item.FatesOf(item.Failed)}, "has results itself"},
	} {
		c.o.Template = tmpl
		_, err := New(c.o)
		expectError(t, err, c.want)
	}
	// The method that is shown is that of the first line, unless it is given.
	writeManifest(t, "r", strings.Replace(good, "PUT", "patch", 1)+"\n"+good+"\n")
	for method, want := range map[string]string{"": "PATCH", "POST": "POST"} {
		s, err := New(Options{Manifest: "r", Only: item.FatesOf(item.Failed), Method: method})
		if err != nil || s.Method() != want {
			t.Errorf("%s, %v, want %s", s.Method(), err, want)
		}
	}
	// Alone it is for the journal.
	s, err := New(Options{Paths: []string{"d"}, Template: tmpl, Only: item.FatesOf(item.Failed)})
	if err != nil || s.FromResults() {
		t.Error(err)
	}
	expectSent(t, Options{Paths: []string{"d"}, Template: tmpl, Only: item.FatesOf(item.Failed)},
		"d/a PUT /a?sig=s3cret")
	// Of a manifest of results that was replaced meanwhile nothing is sent that was not asked for.
	writeManifest(t, "r", good+"\n")
	if s, err = New(Options{Manifest: "r", Only: item.FatesOf(item.Failed)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeManifest(t, "r", strings.Replace(good, "failed", "delivered", 1)+"\n")
	for _, err := range s.Items() {
		expectError(t, err, "line 1: the line was changed after the file had been checked: "+
			"start the run again")
	}
}

// Results that are cut off anywhere have each line that is whole.
func TestResultsTorn(t *testing.T) {
	tree(t, "d/ä", "d/b")
	writeResults(t, "r", resultLine("b", "http://h/1", item.Failed),
		resultLine("ä", "http://h/2", item.Failed))
	whole, err := os.ReadFile("r")
	test.OK(t, err)
	tmpl, only := to(t, "http://h/{path}"), item.FatesOf(item.Failed)
	for n := bytes.IndexByte(whole, '\n'); n <= len(whole); n++ {
		text := whole[:n]
		want := int64(bytes.Count(text, []byte("\n")))
		torn := n > 0 && text[n-1] != '\n'
		if torn && json.Valid(text[bytes.LastIndexByte(text, '\n')+1:]) {
			want, torn = want+1, false
		}
		for _, nuls := range []string{"", "\x00\x00\x00"} { // as some file systems leave them
			if nuls != "" && (!torn || n%8 > 0) {
				continue
			}
			writeManifest(t, "r", string(text)+nuls)
			sum, err := scan(t, Options{Manifest: "r", Only: only})
			if err != nil || sum.Items != want || sum.Torn != torn {
				t.Fatalf("%d bytes: %+v, %v, want %d items", n, sum, err, want)
			}
			sum, err = scan(t, Options{Paths: []string{"d"}, Template: tmpl, From: "r", Only: only})
			if err != nil || sum.Items != want || sum.Torn != torn {
				t.Fatalf("%d bytes: from: %+v, %v, want %d items", n, sum, err, want)
			}
		}
	}
}

// That a file is gone fails that file alone.
func TestResultsOfMissingFiles(t *testing.T) {
	tree(t, "d/a", "d/dir/")
	writeResults(t, "r", resultLine("gone", "http://h/gone", item.Failed),
		resultLine("dir", "", item.Failed), resultLine("a", "http://h/a", item.Failed))
	o := Options{Manifest: "r", Only: item.FatesOf(item.Failed)}
	got := sent(t, o)
	if len(got) != 3 || !strings.HasPrefix(got[0], `d/gone! manifest "r" line 1: `) ||
		!strings.Contains(got[1], "is a directory") || got[2] != "d/a PUT /a" {
		t.Errorf("%q", got)
	}
	if sum, err := scan(t, o); err != nil || sum.Items != 3 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestFrom(t *testing.T) {
	tree(t, "d/a", "d/b", "d/c", "d/e", "m/x/")
	t.Chdir("d")
	here, err := os.Getwd()
	test.OK(t, err)
	t.Chdir("..")
	tmpl := to(t, "http://h/{path}?s=1")
	put := func(path, url string, status item.Fate) results.Result {
		return results.Result{Path: path, URL: url, Method: "PUT", Status: status}
	}
	keyed := func(path, url, key string, status item.Fate) results.Result {
		return results.Result{Path: path, URL: url, Method: "POST", Key: key, Status: status}
	}
	failed := item.FatesOf(item.Failed)
	for _, c := range []struct {
		name      string
		results   []results.Result
		manifest  string // else the directory is walked
		only      item.Fates
		want      []string
		unmatched int64
	}{
		{"by path, however it is spelled", []results.Result{
			put("./d/../d/a", "http://h/a?s=***", item.Failed),
			put(filepath.Join(here, "b"), "http://h/b?s=***", item.Failed),
			put("d/c", "http://h/c?s=***", item.Delivered),
			put("d/gone", "http://h/gone?s=***", item.Failed),
		}, "", failed, []string{"d/a PUT /a?s=1", "d/b PUT /b?s=1"}, 1},
		{"the last line holds", []results.Result{
			put("d/a", "http://h/a", item.Failed), put("d/b", "http://h/b", item.Delivered),
			put("d/a", "http://h/a", item.Delivered),
			put("d/b", "http://h/b", item.Failed),
		}, "", failed, []string{"d/b PUT /b?s=1"}, 0},
		{"what was skipped is what it was", []results.Result{
			put("d/a", "http://h/a", item.Failed), put("d/a", "http://h/a", item.Skipped),
			put("d/b", "http://h/b", item.Skipped),
		}, "", failed, []string{"d/a PUT /a?s=1"}, 0},
		{"unless that is asked for", []results.Result{
			put("d/a", "http://h/a", item.Failed), put("d/a", "http://h/a", item.Skipped),
			put("d/b", "http://h/b", item.Skipped),
		}, "", item.FatesOf(item.Skipped), []string{"d/a PUT /a?s=1", "d/b PUT /b?s=1"}, 0},
		{"to another place than before", []results.Result{
			put("d/a", "http://typo/a", item.Failed), put("d/b", "http://typo/b", item.Delivered),
		}, "", failed, []string{"d/a PUT /a?s=1"}, 0},
		{"and on from there", []results.Result{
			put("d/a", "http://typo/a", item.Failed), put("d/b", "http://typo/b", item.Failed),
			put("d/a", "http://h/a?s=***", item.Delivered),
		}, "", failed, []string{"d/b PUT /b?s=1"}, 1},
		{"one file to two places", []results.Result{
			put("d/a", "http://h/1", item.Delivered), put("d/a", "http://h/2", item.Failed),
			put("d/b", "http://h/3", item.Delivered),
		}, `{"path":"d/a","url":"http://h/1"}` + "\n" + `{"path":"d/a","url":"http://h/2"}` + "\n" +
			`{"path":"d/b","url":"http://h/3"}` + "\n" +
			`{"path":"d/a","url":"http://h/4"}`, failed, []string{"d/a PUT /2", "d/a PUT /4"}, 0},
		{"by key", []results.Result{
			keyed("elsewhere", "http://h/", "k1", item.Failed),
			keyed("d/a", "http://h/", "k2", item.Delivered),
			keyed("d/c", "http://h/", "k4", item.Failed),
		}, `{"path":"d/a","key":"k1"}` + "\n" + `{"path":"d/b","key":"k2"}` + "\n" +
			`{"path":"d/c","key":"k3"}`, failed, []string{"d/a PUT /d/a?s=1"}, 1},
		{"the last line with the key", []results.Result{
			keyed("d/a", "http://old/", "k1", item.Failed),
			keyed("d/a", "http://h/", "k1", item.Delivered),
			keyed("d/b", "http://h/", "k2", item.Failed),
		}, `{"path":"d/a","key":"k1"}` + "\n" + `{"path":"d/b","key":"k2"}`, failed,
			[]string{"d/b PUT /d/b?s=1"}, 0},
		{"one file with two keys", []results.Result{
			keyed("d/a", "http://h/", "k1", item.Failed),
			keyed("d/a", "http://h/", "k2", item.Delivered),
		}, `{"path":"d/a","key":"k2","url":"http://h/2"}` + "\n" +
			`{"path":"d/a","key":"k1","url":"http://h/1"}`, failed, []string{"d/a PUT /1"}, 0},
		{"by path where the line has no key",
			[]results.Result{put("d/a", "http://h/x", item.Failed)},
			`{"path":"d/a","key":"k1"}` + "\n" + `{"path":"d/b","key":"k2"}`, failed,
			[]string{"d/a PUT /d/a?s=1"}, 0},
		{"by path where the item has no key", []results.Result{
			keyed("d/a", "http://h/x", "k1", item.Failed),
			keyed("d/b", "http://h/x", "k2", item.Delivered),
		}, `{"path":"d/a"}` + "\n" + `{"path":"d/b"}`, failed, []string{"d/a PUT /d/a?s=1"}, 0},
		{"by path where the key was made", []results.Result{
			{Path: "d/a", URL: "http://h/d/a", Method: "PUT", Key: "1", KeyMade: true,
				Status: item.Failed},
			{Path: "d/a", URL: "http://h/d/a", Method: "PUT", Key: "2", KeyMade: true,
				Status: item.Delivered},
			{Path: "d/b", URL: "http://h/d/b", Method: "PUT", Key: "3", KeyMade: true,
				Status: item.Failed},
		}, `{"path":"d/a"}` + "\n" + `{"path":"d/b"}`, failed, []string{"d/b PUT /d/b?s=1"}, 0},
		{"a line that is not asked for may be about nothing",
			[]results.Result{put("d/a", "http://h/a", item.Failed)},
			`{"path":"nope"}` + "\n" + `{"path":"d/a"}`, failed, []string{"d/a PUT /d/a?s=1"}, 0},
		{"nothing is asked for", []results.Result{put("d/a", "http://h/a", item.Delivered)}, "",
			failed, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			writeResults(t, "r", c.results...)
			o := Options{Template: tmpl, From: "r", Only: c.only, Paths: []string{"d"}}
			if c.manifest != "" {
				writeManifest(t, "m.ndjson", c.manifest)
				o.Paths, o.Manifest = nil, "m.ndjson"
			}
			expectSent(t, o, c.want...)
			for range 2 {
				sum, err := scan(t, o)
				if err != nil || sum.Items != int64(len(c.want)) || sum.Unmatched != c.unmatched {
					t.Errorf("%+v, %v, want %d unmatched", sum, err, c.unmatched)
				}
			}
		})
	}
	// What Scan remembers is no more than what was asked for.
	writeResults(t, "r", put("d/a", "http://h/a", item.Failed))
	s := mustNew(t, Options{Paths: []string{"d"}, Template: tmpl, From: "r", Only: failed})
	if sum, err := s.Scan(t.Context()); err != nil || s.found.Load() == nil || len(sum.URLs) != 1 ||
		!s.FromResults() {
		t.Errorf("%+v, %v", sum, err)
	}
	n := 0
	for it := range s.Items() {
		if n++; it.Path != filepath.FromSlash("d/a") {
			t.Error(it.Path)
		}
	}
	if n != 1 {
		t.Error(n)
	}
	// Several may ask at once.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if s, err := s.Scan(t.Context()); err != nil || s.Items != 1 {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	all.Wait()
	// Names that stdin has are asked for, too.
	o := Options{Paths: []string{"-"}, Template: tmpl, From: "r", Only: failed,
		Stdin: strings.NewReader("d/b\nd/a\nnope\n")}
	expectSent(t, o, "d/a PUT /a?s=1")
}

// The most that is known of names that are not UTF-8 is enough to find them again.
func TestResultsOfNamesThatAreNotUTF8(t *testing.T) {
	tree(t, "d/")
	name := "d/\xff\n"
	if err := os.WriteFile(name, nil, 0o666); err != nil {
		t.Skip("this file system wants UTF-8:", err)
	}
	writeResults(t, "r", results.Result{Path: name, Rel: "\xff\n", URL: "http://h/%FF%0A?***",
		Method: "PUT", Status: item.Failed})
	o := Options{Manifest: "r", Only: item.FatesOf(item.Failed),
		Template: to(t, "http://h/{path}?x")}
	expectSent(t, o, name+" PUT /%FF%0A?x")
	o.Manifest, o.From, o.Paths = "", "r", []string{"d"}
	expectSent(t, o, name+" PUT /%FF%0A?x")
}

// What the export of a journal has, too.
func TestResultsInFlight(t *testing.T) {
	tree(t, "d/a")
	writeManifest(t, "r", `{"status":"in_flight","path":"d/a","url":"http://h/a","method":"PUT",`+
		`"key":null,"rel":"a","extra":{"x":[1]},"type":"item"}`)
	expectSent(t, Options{Manifest: "r", Only: item.Select("unknown")}, "d/a PUT /a")
	expectSent(t, Options{Manifest: "r", Only: item.FatesOf(item.Failed)})
}

// A model that keeps every line says what is sent.
func TestResultsModel(t *testing.T) {
	tree(t, "d/a", "d/b", "d/c")
	statuses := []item.Fate{item.Delivered, item.Failed, item.Unknown, item.Skipped, item.Deferred}
	type about struct{ path, url, key string }
	rapid.Check(t, func(t *rapid.T) {
		only := rapid.SliceOfNDistinct(rapid.SampledFrom(statuses), 1, 4, rapid.ID).Draw(t, "only")
		lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) results.Result {
			return results.Result{
				Path:   rapid.SampledFrom([]string{"d/a", "d/b", "d/c"}).Draw(t, "path"),
				URL:    "http://h/" + rapid.SampledFrom([]string{"1", "2"}).Draw(t, "url"),
				Key:    rapid.SampledFrom([]string{"", "", "k1", "k2"}).Draw(t, "key"),
				Method: "POST",
				Status: rapid.SampledFrom(statuses).Draw(t, "status"),
			}
		}), 0, 12).Draw(t, "lines")
		var b bytes.Buffer
		r := results.NewWriter(&b)
		last := map[about]int{} // the line that holds
		for i, it := range lines {
			_ = r.Write(it)
			a := about{path: it.Path, url: it.URL}
			if it.Key != "" {
				a = about{key: it.Key}
			}
			if _, ok := last[a]; !ok || it.Status != item.Skipped ||
				slices.Contains(only, item.Skipped) {
				last[a] = i
			}
		}
		_ = r.Close(t.Context())
		test.OK(t, os.WriteFile("r", b.Bytes(), 0o666))
		var want []string
		for i, it := range lines {
			for _, n := range last {
				if n == i && slices.Contains(only, it.Status) {
					want = append(want, fmt.Sprint(it.Path, it.URL, it.Key))
				}
			}
		}
		s := mustNew(t, Options{Manifest: "r", Only: item.FatesOf(only...)})
		list := func() (got []string) {
			for _, it := range items(t, s) {
				got = append(got, fmt.Sprint(filepath.ToSlash(it.Path), it.URL, it.Key))
			}
			return got
		}
		got := list()
		if len(lines) > 0 && !cmp.Equal(want, got) {
			t.Fatalf("sent %q, want %q", got, want)
		}
		// Selected from the same items, they are the same.
		asks := func(a about) bool {
			i, ok := last[a]
			return ok && slices.Contains(only, lines[i].Status)
		}
		concerned := map[string]bool{}
		for _, i := range last {
			if slices.Contains(only, lines[i].Status) {
				concerned[lines[i].Path] = true
			}
		}
		var m strings.Builder
		want = nil
		seen := map[about]bool{}
		for _, it := range lines {
			a := about{path: it.Path, url: it.URL}
			take := asks(a)
			for _, other := range lines { // that went there, too
				take = take || concerned[it.Path] && other.Path == it.Path && other.URL == it.URL &&
					other.Key != "" && asks(about{key: other.Key})
			}
			if it.Key != "" {
				a = about{key: it.Key}
				take = asks(a)
			}
			if seen[a] {
				continue
			}
			seen[a] = true
			fmt.Fprintf(&m, `{"path":%q,"url":%q,"method":"post"`, it.Path, it.URL)
			if it.Key != "" {
				fmt.Fprintf(&m, `,"key":%q`, it.Key)
			}
			m.WriteString("}\n")
			if take {
				want = append(want, fmt.Sprint(it.Path, it.URL, it.Key))
			}
		}
		test.OK(t, os.WriteFile("m", []byte(m.String()), 0o666))
		s = mustNew(t, Options{Manifest: "m", From: "r", Only: item.FatesOf(only...)})
		if got = list(); !cmp.Equal(want, got) {
			t.Fatalf("from: sent %q, want %q", got, want)
		}
		sum, err := s.Scan(t.Context())
		if err != nil || sum.Unmatched != 0 || sum.Items != int64(len(want)) {
			t.Fatalf("from: %+v, %v, want %d items", sum, err, len(want))
		}
	})
}

// Whatever a results file holds, it is sent from or is an error of a line for each wrong one.
func FuzzResults(f *testing.F) {
	const good = `{"type":"item","path":"a","rel":"a","url":"http://h/a?s=***","method":"PUT",` +
		`"key":"k","status":"failed"}`
	for _, s := range []string{
		good, good + "\n" + good[:40], "\ufeff" + good + "\r\n\r\n" + good,
		good + "\n" + `{"path":"a"}`, "", "\n", "[]", `{"type":"item","status":null}`,
		`{"type":"item","status":"in_flight","path":"","path_base64":"YQ==","rel_base64":"YQ==",` +
			`"url":"","key":"k","key_made":true}`,
		`{"type":"item","status":"failed","path":"a","url":"http://u:p@h/%2e%2e","method":"\n"}`,
		`{"type":"item","status":"failed","path":"a","url":"***","rel":"../a","key":"a\r\nb"}`,
	} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	test.OK(f, os.WriteFile(filepath.Join(dir, "a"), nil, 0o666))
	name := filepath.Join(dir, "r")
	tmpl, only := to(f, "http://h/{path}?s={key}"), item.FatesOf(item.Failed, item.Unknown)
	f.Fuzz(func(t *testing.T, text []byte) {
		t.Chdir(dir)
		test.OK(t, os.WriteFile(name, text, 0o666))
		for _, o := range []Options{{Manifest: name}, {Paths: []string{"a"}, From: name}} {
			o.Template, o.Only = tmpl, only
			if o.From != "" {
				o.Template = to(t, "http://h/{path}")
			}
			s, err := New(o)
			if err == nil {
				_, err = s.Scan(t.Context())
			}
			if err != nil { // of a manifest, a line for each wrong one, and how many more there are
				lines := strings.Split(err.Error(), "\n")
				if len(lines) > 21 || slices.Contains(lines, "") ||
					strings.Contains(err.Error(), "\r") {
					t.Fatalf("not one line each: %q", err)
				}
			}
			if s == nil {
				continue
			}
			for it, err := range s.Items() {
				if err == nil && (it.Path != "a" && !filepath.IsAbs(it.Path) ||
					checkMethod(it.Method) != nil || checkHeaderValue(it.Key) != nil) {
					t.Fatalf("%+v", it)
				}
				if err == nil {
					if _, err := http.NewRequest(it.Method, it.URL, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// B/line is what is kept of a million lines all of which are asked for.
func BenchmarkFrom(b *testing.B) {
	const n = 1_000_000
	tree(b, "d/a")
	for _, every := range []int{1, 1000} {
		var text bytes.Buffer
		r := results.NewWriter(&text)
		for i := range n {
			it := resultLine(fmt.Sprintf("%03d/%06d.json", i/1000, i),
				fmt.Sprintf("https://api.example.com/v1/files/%03d/%06d.json", i/1000, i),
				item.Delivered)
			if i%every == 0 {
				it.Status = item.Failed
			}
			_ = r.Write(it)
		}
		_ = r.Close(b.Context())
		writeManifest(b, "r", text.String())
		for name, o := range map[string]Options{
			"from":     {Paths: []string{"d"}, Template: to(b, "http://h/{path}"), From: "r"},
			"manifest": {Manifest: "r"},
		} {
			o.Only = item.FatesOf(item.Failed)
			b.Run(fmt.Sprintf("%s/one of %d", name, every), func(b *testing.B) {
				var kept uint64
				for b.Loop() {
					var before, after runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&before)
					s, err := New(o)
					if err == nil && o.From != "" {
						_, err = s.selected(b.Context())
					} else if err == nil {
						_, err = s.picked(b.Context())
					}
					test.OK(b, err)
					runtime.GC()
					runtime.ReadMemStats(&after)
					kept = after.HeapAlloc - before.HeapAlloc
					runtime.KeepAlive(s)
				}
				b.ReportMetric(float64(kept)/n, "B/line-kept")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/line")
			})
		}
	}
}
