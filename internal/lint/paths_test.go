package lint

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// machinePath is a path that exists on one machine only.
var machinePath = regexp.MustCompile(`(^|[^A-Za-z0-9_.})])(/(work|root)\b|/(home|Users)/\w|[A-Z]:\\Users\\)`)

func TestNoMachinePaths(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("not a git checkout, so there are no tracked files")
	}
	// A checkout may belong to another user than the one who tests it.
	cmd := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if within(name, "testdata") || strings.Contains(name, "/testdata/") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, but not yet in git's index
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(b, 0) >= 0 {
			continue // not text
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			n++
			if machinePath.MatchString(line) {
				t.Errorf("%s:%d: a path of one machine: %s", name, n, strings.TrimSpace(line))
			}
		}
	}
}

func TestMachinePath(t *testing.T) {
	slash := "/" // so that this file passes its own test
	for text, want := range map[string]bool{
		"cd " + slash + "work/main":              true,
		`"` + slash + `root"`:                    true,
		"in " + slash + "home/ann/x":             true,
		slash + "Users/ann":                      true,
		`C:` + `\Users\ann`:                      true,
		"https://example.com" + slash + "work/":  false,
		"./internal" + slash + "work":            false,
		slash + "workers":                        false,
		"the user's " + slash + "home directory": false,
	} {
		if got := machinePath.MatchString(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
