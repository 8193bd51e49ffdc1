//go:build unix

package source

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

func TestSpecialFiles(t *testing.T) {
	tree(t, "d/a")
	test.OK(t, unix.Mkfifo("d/pipe", 0o666))
	o := Options{Paths: []string{"d"}, Template: to(t, "http://h/{path}")}
	expectSent(t, o, "d/a PUT /a")
	sum, err := scan(t, o)
	if err != nil || sum.LeftOut != (LeftOut{Special: 1}) {
		t.Errorf("%+v, %v", sum, err)
	}
	for _, name := range []string{"d/pipe", "/dev/null"} {
		o.Paths = []string{name}
		expectError(t, refusal(t, o), name, "not a regular file")
	}
}

// A pipe, a socket or a device is an error where it is named and left out where it is found, and
// nobody waits for it.
func TestSpecialFilesNamed(t *testing.T) {
	tree(t, "d/a", "d/")
	test.OK(t, unix.Mkfifo("d/pipe", 0o666))
	socket, err := net.Listen("unix", "d/socket")
	test.OK(t, err)
	defer socket.Close()
	tmpl, only := to(t, "http://h/{path}"), item.FatesOf(item.Failed)
	for _, name := range []string{"d/pipe", "d/socket", "/dev/null"} {
		for what, o := range map[string]Options{
			"":                     {Paths: []string{name}},
			"manifest ":            {Manifest: name},
			"manifest of results ": {Manifest: name, Only: only},
			"from ":                {Paths: []string{"d"}, From: name, Only: only},
			"not in a list that runs": {Paths: []string{"-"},
				Stdin: strings.NewReader(name + "\n")},
		} {
			if o.Manifest != "" && name != "d/socket" {
				continue // it is a stream
			}
			o.Template = tmpl
			err := refusal(t, o)
			if what == "not in a list that runs" {
				o.Stdin = strings.NewReader(name + "\n")
				s, _ := New(o)
				for _, e := range s.Items() {
					err = e
				}
			}
			expectError(t, err, name, "not a regular file")
		}
		writeManifest(t, "m", `{"path":"`+name+`"}`)
		if name[0] != '/' {
			_, err := scan(t, Options{Manifest: "m", Template: tmpl})
			expectError(t, err, name, "not a regular file")
		}
	}
	sum, err := scan(t, Options{Paths: []string{"d", "d/**"}, Template: tmpl, Method: "POST"})
	if err != nil || sum.Items != 2 || sum.LeftOut != (LeftOut{Special: 4}) {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestUnreadableLists(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	tree(t, "d/a", "m")
	test.OK(t, os.Chmod("m", 0))
	for _, o := range []Options{{Manifest: "m"},
		{Paths: []string{"d"}, From: "m", Only: item.FatesOf(item.Failed)}} {
		o.Template = to(t, "http://h/{path}")
		_, err := New(o)
		expectError(t, err, `"m": permission denied`)
	}
}

// What is longer than the system takes is named, but not at its full length.
func TestLongNames(t *testing.T) {
	tree(t, "d/a")
	long := strings.Repeat("x", 5000)
	tmpl := to(t, "http://h/{path}")
	for _, o := range []Options{{Paths: []string{long}}, {Paths: []string{"d/" + long}},
		{Paths: []string{long + "/*.csv"}}, {Manifest: long},
		{Paths: []string{"d"}, From: long, Only: item.FatesOf(item.Failed)}} {
		o.Template = tmpl
		err := refusal(t, o)
		expectError(t, err, "xxx…")
		if err != nil && len(err.Error()) > 900 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	s := mustNew(t, Options{Paths: []string{"-"}, Stdin: strings.NewReader(long + "\nd/a\n"),
		Template: tmpl})
	var errs []error
	for _, err := range s.Items() {
		errs = append(errs, err)
	}
	if len(errs) != 2 || errs[1] != nil {
		t.Errorf("%v", errs)
	}
	expectError(t, errs[0], "xxx…xxx", "too long")

	// Directories can be nested deeper than a path can say.
	dir, err := os.Getwd()
	test.OK(t, err)
	name := strings.Repeat("y", 200)
	for range 25 {
		test.OK(t, os.Mkdir(name, 0o777))
		if err := os.Chdir(name); err != nil {
			t.Fatal(err)
		}
	}
	test.OK(t, os.Chdir(dir))
	_, err = scan(t, Options{Paths: []string{name}, Template: tmpl})
	expectError(t, err, "yyy…yyy", "too long")
}

func TestNamesThatAreNotUTF8(t *testing.T) {
	tree(t)
	dir := "d/\xfe"
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Skip("this file system wants UTF-8:", err)
	}
	for _, name := range []string{"\xff.csv", "a\nb.csv", "*.csv"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Skip("this file system wants UTF-8:", err)
		}
	}
	o := Options{Paths: []string{"d"}, Template: to(t, "http://h/{path}")}
	want := []string{
		"d/\xfe/*.csv PUT /%FE/%2A.csv",
		"d/\xfe/a\nb.csv PUT /%FE/a%0Ab.csv",
		"d/\xfe/\xff.csv PUT /%FE/%FF.csv",
	}
	expectSent(t, o, want...)
	for _, p := range []string{"d/**", "d/*/*.csv", "d/?/*", "d/**/*.csv"} {
		o.Paths = []string{p}
		expectSent(t, o, want...)
	}
	o.Template = to(t, "http://h/x")
	o.Method = "PUT"
	_, err := scan(t, o)
	expectError(t, err, `a\nb.csv`)
}

func TestUnreadableDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	tree(t, "d/a", "d/locked/b", "d/z")
	test.OK(t, os.Chmod("d/locked", 0))
	t.Cleanup(func() { os.Chmod("d/locked", 0o777) })
	o := Options{Paths: []string{"d"}, Template: to(t, "http://h/{path}")}
	expectSent(t, o, "d/a PUT /a", "d/locked! the directory cannot be read: permission denied",
		"d/z PUT /z")
	expectError(t, refusal(t, o), `"d/locked"`, "permission denied")
	o.Paths = []string{"d/locked/*.csv"}
	expectError(t, refusal(t, o), `"d/locked"`, "permission denied")
}
