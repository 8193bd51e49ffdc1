//go:build unix

package source

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSpecialFiles(t *testing.T) {
	tree(t, "d/a")
	if err := syscall.Mkfifo("d/pipe", 0o666); err != nil {
		t.Fatal(err)
	}
	o := Options{Paths: []string{"d"}, Template: to(t, "http://h/{path}")}
	expectSent(t, o, "d/a PUT /a")
	sum, err := scan(t, o)
	if err != nil || sum.LeftOut != (LeftOut{Special: 1}) {
		t.Errorf("%+v, %v", sum, err)
	}
	for _, name := range []string{"d/pipe", "/dev/null"} {
		o.Paths = []string{name}
		_, err = New(o)
		expectError(t, err, name, "not a regular file")
	}
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
	if err := os.Chmod("d/locked", 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod("d/locked", 0o777) })
	o := Options{Paths: []string{"d"}, Template: to(t, "http://h/{path}")}
	expectSent(t, o, "d/a PUT /a", "d/locked! the directory cannot be read: permission denied", "d/z PUT /z")
	_, err := scan(t, o)
	expectError(t, err, `"d/locked"`, "permission denied")
	o.Paths = []string{"d/locked/*.csv"}
	_, err = scan(t, o)
	expectError(t, err, `"d/locked"`, "permission denied")
}
