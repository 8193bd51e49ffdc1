package source

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lines"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
)

// tree makes files in a new directory, which becomes the working directory. A name that ends in /
// is a directory; "a -> b" is a link.
func tree(t testing.TB, names ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range names {
		name, target, link := strings.Cut(name, " -> ")
		var err error
		if err = os.MkdirAll(filepath.Dir(name), 0o777); err == nil {
			switch {
			case link:
				if err = os.Symlink(target, name); err != nil && runtime.GOOS == "windows" {
					t.Skip("links need a privilege on Windows:", err)
				}
			case strings.HasSuffix(name, "/"):
				err = os.MkdirAll(name, 0o777)
			default:
				err = os.WriteFile(name, []byte(name), 0o666)
			}
		}
		test.OK(t, err)
	}
}

func to(t testing.TB, s string) *template.URL {
	t.Helper()
	tmpl, err := template.ParseURL(s)
	test.OK(t, err)
	return tmpl
}

func mustNew(t rapid.TB, o Options) *Source {
	t.Helper()
	s, err := New(o)
	test.OK(t, err)
	return s
}

// items returns what Items yields, which is no error.
func items(t rapid.TB, s *Source) (all []item.Item) {
	t.Helper()
	for it, err := range s.Items() {
		test.OK(t, err)
		all = append(all, it)
	}
	return all
}

// sent lists what Items yields as "path method URL", origin left out, or "path! error".
func sent(t testing.TB, o Options) []string {
	t.Helper()
	s := mustNew(t, o)
	var got []string
	for it, err := range s.Items() {
		var ie *ItemError
		switch {
		case errors.As(err, &ie):
			if diff := cmp.Diff(it, ie.Item); diff != "" {
				t.Errorf("the error's item differs: %s", diff)
			}
			got = append(got, filepath.ToSlash(it.Path)+"! "+ie.Err.Error())
		case err != nil:
			got = append(got, "! "+err.Error())
		default:
			got = append(got, filepath.ToSlash(it.Path)+" "+it.Method+" "+strings.TrimPrefix(it.URL,
				"http://h"))
		}
	}
	return got
}

func expectSent(t *testing.T, o Options, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, sent(t, o)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func expectError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	text := err.Error()
	if mistake := (*Mistake)(nil); errors.As(err, &mistake) {
		text += " about: " + mistake.About
	}
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("error %q, want one with %q", err, p)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("not one line: %q", err)
	}
	text = err.Error()
	if !strings.HasPrefix(text, "source: ") && !strings.HasPrefix(text, "results: ") ||
		strings.Count(text, "source: ") > 1 {
		t.Errorf("not from one package: %q", err)
	}
}

// refusal is why something cannot be sent, by itself or with all the others.
func refusal(t *testing.T, o Options) error {
	t.Helper()
	s, err := New(o)
	if err != nil {
		return err
	}
	sum, err := s.Scan(t.Context())
	if err == nil && len(sum.Failures) > 0 {
		return sum.Failures[0]
	}
	return err
}

func scan(t *testing.T, o Options) (Summary, error) {
	t.Helper()
	s := mustNew(t, o)
	return s.Scan(t.Context())
}

func TestItemsOfFilesAndDirectories(t *testing.T) {
	tree(t, "data/b.csv", "data/a/z.csv", "data/a.csv", "data/.hidden", "data/.git/config",
		"data/x.csv~", "data/#y#", "data/.#z", "data/.x.swp",
		"data/sub/deep/er.txt", "data/empty/", ".env", "x~")
	o := Options{Paths: []string{"data", ".env", "x~", "./data/a.csv"},
		Template: to(t, "http://h/{path}")}
	expectSent(t, o,
		"data/a/z.csv PUT /a/z.csv",
		"data/a.csv PUT /a.csv",
		"data/b.csv PUT /b.csv",
		"data/sub/deep/er.txt PUT /sub/deep/er.txt",
		".env PUT /.env",
		"x~ PUT /x~",
		"./data/a.csv! another item of this run goes to the same URL",
	)
	o.Paths = o.Paths[:3]
	sum, err := scan(t, o)
	test.OK(t, err)
	want := Summary{
		Items: 6,
		Bytes: int64(len("data/a/z.csv" + "data/a.csv" + "data/b.csv" + "data/sub/deep/er.txt" +
			".env" + "x~")),
		Largest: int64(len("data/sub/deep/er.txt")),
		LeftOut: LeftOut{Hidden: 2, Leftover: 4},
		URLs: []string{"http://h/a/z.csv", "http://h/a.csv", "http://h/b.csv",
			"http://h/sub/deep/er.txt", "http://h/.env", "http://h/x~"},
	}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	o.Paths, o.Hidden = []string{"data"}, true
	expectSent(t, o,
		"data/#y# PUT /%23y%23",
		"data/.#z PUT /.%23z",
		"data/.git/config PUT /.git/config",
		"data/.hidden PUT /.hidden",
		"data/.x.swp PUT /.x.swp",
		"data/a/z.csv PUT /a/z.csv",
		"data/a.csv PUT /a.csv",
		"data/b.csv PUT /b.csv",
		"data/sub/deep/er.txt PUT /sub/deep/er.txt",
		"data/x.csv~ PUT /x.csv~",
	)
}

func TestVariables(t *testing.T) {
	tree(t, "d/archive.tar.gz", "d/README", "d/.bashrc", "d/..b")
	o := Options{Paths: []string{"d"}, Hidden: true,
		Template: to(t, "http://h/?{name}&{stem}&{ext}&{path}")}
	expectSent(t, o,
		"d/..b POST /?..b&.&b&..b",
		"d/.bashrc POST /?.bashrc&.bashrc&&.bashrc",
		"d/README POST /?README&README&&README",
		"d/archive.tar.gz POST /?archive.tar.gz&archive.tar&gz&archive.tar.gz",
	)
	o.Hidden, o.Template = false, to(t, "http://h/{stem}.{ext}")
	expectSent(t, o,
		"d/README! {ext} has no value here",
		"d/archive.tar.gz PUT /archive.tar.gz",
	)
	err := refusal(t, o)
	expectError(t, err, "README", "{ext} has no value here")
}

func TestGlobs(t *testing.T) {
	tree(t, "data/a.csv", "data/b.txt", "data/sub/c.csv", "data/sub/deep/d.csv", "data/.h.csv",
		"data/.git/e.csv", "data/f.csv~",
		"data/[1].csv", "data/other/x.csv/inner.csv", "top.csv")
	o := func(paths ...string) Options {
		return Options{Paths: paths,
			Template: to(t, "http://h/{path}")}
	}
	expectSent(t, o("data/*.csv"), "data/[1].csv PUT /%5B1%5D.csv", "data/a.csv PUT /a.csv")
	expectSent(t, o("./data/sub/../*.txt"), "data/b.txt PUT /b.txt")
	expectSent(t, o("data/**/*.csv"),
		"data/[1].csv PUT /%5B1%5D.csv",
		"data/a.csv PUT /a.csv",
		"data/other/x.csv/inner.csv PUT /other/x.csv/inner.csv",
		"data/sub/c.csv PUT /sub/c.csv",
		"data/sub/deep/d.csv PUT /sub/deep/d.csv",
	)
	expectSent(t, o("data/*/**"),
		"data/other/x.csv/inner.csv PUT /other/x.csv/inner.csv",
		"data/sub/c.csv PUT /sub/c.csv",
		"data/sub/deep/d.csv PUT /sub/deep/d.csv",
	)
	expectSent(t, o("data/s*/**/deep/*"), "data/sub/deep/d.csv PUT /sub/deep/d.csv")
	expectSent(t, o("d?ta/{a,b}.{csv,txt}"), "data/a.csv PUT /data/a.csv",
		"data/b.txt PUT /data/b.txt")
	expectSent(t, o("*.csv"), "top.csv PUT /top.csv")
	// With its dot written out a hidden name is asked for; .git is not by **/.h*.
	expectSent(t, o("data/.*"), "data/.h.csv PUT /.h.csv")
	expectSent(t, o("data/.*/*"), "data/.git/e.csv PUT /.git/e.csv")
	expectSent(t, o("data/**/.h*"), "data/.h.csv PUT /.h.csv")
	// A path that exists is none.
	expectSent(t, o("data/[1].csv"), "data/[1].csv PUT /%5B1%5D.csv")

	ex := o("data/**")
	ex.Exclude = []string{"sub/deep", "*.txt", "other/", "[[]*"}
	expectSent(t, ex, "data/a.csv PUT /a.csv", "data/sub/c.csv PUT /sub/c.csv")
	sum, err := scan(t, ex)
	test.OK(t, err)
	if want := (LeftOut{Excluded: 4, Hidden: 2, Leftover: 1}); sum.LeftOut != want {
		t.Errorf("left out: %v, want %v", sum.LeftOut, want)
	}
	ex.Exclude = []string{"**/*.csv", "**/.*"}
	ex.Paths = []string{"data"}
	expectSent(t, ex, "data/b.txt PUT /b.txt")

	if g, dir, err := parseGlob("/[x]/.."); err != nil || g.matches("x") || g.enters("x") ||
		g.asksFor("x") {
		t.Errorf("the root matches: %v, %q, %v", g, dir, err)
	}
	for pattern, want := range map[string]string{
		"data/*.nope":    `"data/*.nope": matches no file`,
		"data/*~":        "matches no file to send",
		"data/*/":        "matches directories only",
		"data/a.csv/**":  "no directory",
		"nowhere/*.csv":  `no directory "nowhere"`,
		"data/[a.csv":    "not a valid glob",
		"data/{a,b":      "not a valid glob",
		"{data/a,b}.csv": "slash within braces",
	} {
		s, err := New(o(pattern))
		if err == nil {
			_, err = s.Scan(t.Context())
		}
		expectError(t, err, want)
	}
}

func TestNewRefuses(t *testing.T) {
	tree(t, "a.csv", "d/")
	path := to(t, "http://h/{path}")
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Template: path}, "nothing to send"},
		{Options{Paths: []string{"a.csv"}}, "no URL"},
		{Options{Paths: []string{""}, Template: path}, `"": `},
		{Options{Paths: []string{"nope\n"}, Template: path}, `"nope\n"`},
		{Options{Paths: []string{"-"}, Template: path}, "standard input"},
		{Options{Paths: []string{"-", "-"}, Stdin: strings.NewReader(""), Template: path},
			"standard input"},
		{Options{Paths: []string{"a.csv"}, Template: to(t, "http://h/{nmae}")},
			"unknown variable {nmae}"},
		{Options{Paths: []string{"a.csv"}, Template: to(t, "http://h/{key}")},
			"unknown variable {key}"},
		{Options{Paths: []string{"a.csv"}, Template: path, Method: "P UT"},
			`"P UT" is no HTTP method`},
		{Options{Paths: []string{"d"}, Template: path, Exclude: []string{"[a"}}, "exclude"},
		{Options{Paths: []string{"d"}, Template: path, Exclude: []string{""}}, "exclude"},
		{Options{Paths: []string{"a.csv"}, Manifest: "a.csv", Template: path}, "either"},
		{Options{Manifest: "nope.ndjson"}, `manifest "nope.ndjson"`},
		{Options{Manifest: "d"}, "not a regular file"},
	} {
		expectError(t, refusal(t, c.o), c.want)
	}
}

func TestMethod(t *testing.T) {
	tree(t, "a", "b")
	o := Options{Paths: []string{"a", "b"}, Template: to(t, "http://h/in?n={name}")}
	expectSent(t, o, "a POST /in?n=a", "b POST /in?n=b")
	o.Template = to(t, "http://h/in")
	expectSent(t, o, "a POST /in", "b POST /in")
	o.Method = "patch"
	expectSent(t, o, "a PATCH /in", "b PATCH /in")
	o.Method = "PUT"
	expectSent(t, o, "a PUT /in", "b! another item of this run goes to the same URL")
}

func TestScanFindsTwoItemsWithOneURL(t *testing.T) {
	tree(t, "data/0.csv", "data/a/x.csv", "data/b/x.csv", "data/c.csv", "data/d/x.csv")
	o := Options{Paths: []string{"data"}, Template: to(t, "http://u:secret@h/{name}?token=secret")}
	_, err := scan(t, o)
	quoted := func(name string) string { return human.Quote(filepath.FromSlash(name)) }
	expectError(t, err, quoted("data/a/x.csv")+" and "+quoted("data/b/x.csv"),
		"http://h/x.csv?token=***", "PUT")
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("shows a secret: %v", err)
	}
	o.Method = "POST"
	sum, err := scan(t, o)
	if err != nil || sum.Items != 5 {
		t.Errorf("%+v, %v", sum, err)
	}
	if got := sum.URLs[0]; got != "http://h/0.csv?token=***" {
		t.Errorf("shown: %s", got)
	}
	o = Options{Paths: []string{"data/c.csv", "data/c.csv"}, Template: to(t, "http://h/{name}")}
	_, err = scan(t, o)
	expectError(t, err, `"data/c.csv" is named twice`)
}

func TestScanShowsTenURLs(t *testing.T) {
	var names []string
	for i := range 25 {
		names = append(names, fmt.Sprintf("d/%02d", i))
	}
	tree(t, names...)
	sum, err := scan(t, Options{Paths: []string{"d"}, Template: to(t, "http://h/?n={name}")})
	if err != nil || sum.Items != 25 || len(sum.URLs) != 10 || sum.URLs[9] != "http://h/?n=09" {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestScanEndsWithContext(t *testing.T) {
	tree(t, "d/a", "d/b")
	s := mustNew(t, Options{Paths: []string{"d"}, Template: to(t, "http://h/{name}")})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := s.Scan(ctx); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

func TestItemsStopsWhenAsked(t *testing.T) {
	tree(t, "d/a", "d/b", "d/e/c", "f", "m.ndjson")
	writeManifest(t, "m.ndjson",
		"{\"path\":\"d/a\"}\n{\"path\":\"nope\"}\n{\"path\":\"d/b\"}\n")
	for _, o := range []Options{
		{Paths: []string{"d", "f", "d/**", "-"}, Stdin: strings.NewReader("f\nf\n"),
			Template: to(t, "http://h/")},
		{Manifest: "m.ndjson", Template: to(t, "http://h/")},
	} {
		s := mustNew(t, o)
		for stop := range 10 {
			n := 0
			for range s.Items() {
				if n++; n > stop {
					break
				}
			}
		}
	}
}

func TestStdin(t *testing.T) {
	tree(t, "a.csv", "b [1].csv", "d/c.csv", "d/a.csv")
	o := Options{
		Paths: []string{"d/c.csv", "-"},
		Stdin: strings.NewReader("\ufeffa.csv\r\n\r\nb [1].csv\nnope\x01\nd\nd/a.csv\n" +
			"*.csv\nd/c.csv"),
		Template: to(t, "http://h/{name}"),
	}
	sum, err := scan(t, o)
	if err != nil || sum.Items != 1 || !sum.Partial {
		t.Errorf("%+v, %v", sum, err)
	}
	got := sent(t, o)
	if runtime.GOOS == "windows" {
		t.Skip("the texts below are for Unix")
	}
	want := []string{
		"d/c.csv PUT /c.csv",
		"a.csv PUT /a.csv",
		"b [1].csv PUT /b%20%5B1%5D.csv",
		"nope\x01! no such file or directory",
		"d! is a directory; only files can be listed",
		"d/a.csv! another item of this run goes to the same URL",
		"*.csv! no such file or directory",
		"d/c.csv! another item of this run goes to the same URL",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	o = Options{Paths: []string{"-"}, Stdin: strings.NewReader("a.csv\n" +
		strings.Repeat("x", lines.MaxLen+1)), Template: o.Template}
	expectSent(t, o, "a.csv PUT /a.csv", "! source: stdin line 2: the line is longer than 1 MiB")
}

func TestVanishedFiles(t *testing.T) {
	tree(t, "d/a", "d/b", "d/c", "d/e/f", "g")
	s := mustNew(t, Options{Paths: []string{"d", "g"}, Template: to(t, "http://h/{path}")})
	var got []string
	for it, err := range s.Items() {
		if it.Rel == "a" { // d is listed by now
			for _, name := range []string{"d/b", "d/e/f", "d/e", "g"} {
				test.OK(t, os.Remove(name))
			}
		}
		if err != nil && !errors.As(err, new(*ItemError)) {
			t.Errorf("%v ends the run", err)
		}
		got = append(got, fmt.Sprintf("%s %v", it.Rel, err == nil))
	}
	// Windows has all of a file in its directory's listing, and learns later that it is gone.
	want := []string{"a true", fmt.Sprintf("b %v", runtime.GOOS == "windows"), "c true", "e false",
		"g false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if sum, err := s.Scan(t.Context()); err != nil || sum.Failed != 1 || sum.Items != 3 ||
		sum.Failures[0].Item.Path != "g" {
		t.Errorf("a named file is missing: %+v, %v", sum, err)
	}
}

func TestLinks(t *testing.T) {
	tree(t, "d/a.csv", "d/link.csv -> a.csv", "d/sub/up -> ..", "d/sub/b.csv", "d/self -> self",
		"d/out -> ../other",
		"other/c.csv", "other/back -> ../d", "l -> d", "f -> d/a.csv")
	o := Options{Paths: []string{"d"}, Template: to(t, "http://h/{path}")}
	expectSent(t, o, "d/a.csv PUT /a.csv", "d/sub/b.csv PUT /sub/b.csv")
	sum, err := scan(t, o)
	if err != nil || sum.LeftOut != (LeftOut{Links: 4}) {
		t.Errorf("%+v, %v", sum, err)
	}
	// Named links are followed.
	o.Paths = []string{"l", "f"}
	o.Template = to(t, "http://h/x/{name}")
	expectSent(t, o, "l/a.csv PUT /x/a.csv", "l/sub/b.csv PUT /x/b.csv", "f PUT /x/f")

	o.Paths, o.Follow, o.Template = []string{"d"}, true, to(t, "http://h/{path}")
	o.Exclude = []string{"self"}
	expectSent(t, o, "d/a.csv PUT /a.csv", "d/link.csv PUT /link.csv", "d/out/c.csv PUT /out/c.csv",
		"d/sub/b.csv PUT /sub/b.csv")
	sum, err = scan(t, o)
	if err != nil || sum.LeftOut != (LeftOut{Excluded: 1, Loops: 2}) {
		t.Errorf("%+v, %v", sum, err)
	}
	o.Paths = []string{"d/**/*.csv"}
	expectSent(t, o, "d/a.csv PUT /a.csv", "d/link.csv PUT /link.csv", "d/out/c.csv PUT /out/c.csv",
		"d/sub/b.csv PUT /sub/b.csv")
	// A link to nowhere is a file that is missing, and no others are.
	o.Paths, o.Exclude = []string{"d"}, nil
	expectError(t, refusal(t, o), "self", "leads nowhere")
	if sum, err = scan(t, o); err != nil || sum.Items != 5 || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// Where the hashes are equal and the URLs are not, no two items are named.
func TestNotTwice(t *testing.T) {
	tree(t, "d/a", "d/b", "e/b")
	s := mustNew(t, Options{Paths: []string{"d", "e"}, Template: to(t, "http://h/{name}")})
	own := s.newUniqueness(nil)
	a, b := maphash.String(own.urls, "http://h/a"), maphash.String(own.urls, "http://h/b")
	test.Check(t, s.twice(t.Context(), own, map[uint64]bool{a: true, 1: true}))
	expectError(t, s.twice(t.Context(), own, map[uint64]bool{a: true, b: true}),
		`"d/b" and "e/b" would both PUT to http://h/b`)
}

func TestHashSet(t *testing.T) {
	set, both := hashSet{}, new(hashList)
	for i := range uint64(10_000) {
		h := i << 50
		if set.add(h) || !set.add(h) {
			t.Fatal(i)
		}
		both.add(h)
	}
	if n := len(both.twice()); n != 0 {
		t.Errorf("%d are said to be there twice", n)
	}
	for _, h := range []uint64{0, 5 << 50, 9_999 << 50} {
		both.add(h)
		both.add(h)
	}
	if diff := cmp.Diff(map[uint64]bool{0: true, 5 << 50: true, 9_999 << 50: true},
		both.twice()); diff != "" {
		t.Error(diff)
	}
}

// The files' metadata is the cost of Scan; bytes an item is what the set of URLs needs beyond it.
func BenchmarkScan(b *testing.B) {
	const n = 20_000
	tree(b)
	for i := range n {
		dir := fmt.Sprintf("d/%03d", i/100)
		if i%100 == 0 {
			test.OK(b, os.MkdirAll(dir, 0o777))
		}
		test.OK(b, os.WriteFile(fmt.Sprintf("%s/%05d.csv", dir, i), nil, 0o666))
	}
	s, err := New(Options{Paths: []string{"d"},
		Template: to(b, "https://api.example.com/v1/files/{path}")})
	test.OK(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if sum, err := s.Scan(b.Context()); err != nil || sum.Items != n {
			b.Fatal(sum, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/item")
}

func BenchmarkHashes(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		for name, make := range map[string]func() func(uint64) bool{
			"set":    func() func(uint64) bool { return hashSet{}.add },
			"census": func() func(uint64) bool { return new(hashList).add },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				seed := maphash.MakeSeed()
				var kept uint64
				for b.Loop() {
					var before, after runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&before)
					add := make()
					for i := range n {
						add(maphash.Comparable(seed, i))
					}
					runtime.GC()
					runtime.ReadMemStats(&after)
					kept = after.HeapAlloc - before.HeapAlloc
					runtime.KeepAlive(add)
				}
				b.ReportMetric(float64(kept)/float64(n), "B/hash-kept")
			})
		}
	}
}
