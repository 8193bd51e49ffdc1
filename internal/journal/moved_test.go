package journal

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// A run whose journal was removed leaves the one that another run has made in its place alone, also
// if it has nothing to write.
func TestEndOfRemovedJournal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no open file")
	}
	for name, want := range map[string]error{"has not begun": nil, "has begun": errReplaced} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			first := mustOpen(t, path)
			if want != nil {
				first.Claim(1, Fingerprint{})
				test.OK(t, first.Flush())
			}
			files, err := filepath.Glob(path + "*")
			if err != nil || len(files) != 4 {
				t.Fatal(files, err)
			}
			for _, file := range files {
				test.OK(t, os.Remove(file))
			}
			second := mustOpen(t, path)
			mustPut(t, second, full(1))
			if err := first.Close(0); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			if there, err := filepath.Glob(path + "*"); !slices.Equal(there, files) {
				t.Errorf("of the other run's files only %q are left, %v", there, err)
			}
			second.Put(full(2), nil)
			if err := second.Flush(); err != nil {
				t.Errorf("the other run: %v", err)
			}
			var inUse *InUseError
			if _, err := Open(t.Context(), Options{Path: path}); !errors.As(err, &inUse) {
				t.Errorf("a third run may begin beside the second: %v", err)
			}
			mustClose(t, second)
			equal(t, "the other run's rows", all(t, path), []Item{full(1), full(2)})
		})
	}
}

// A file that was put in the journal's place is not the run's to remove.
func TestCloseLeavesReplacement(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no open file")
	}
	path := newPath(t)
	j := mustOpen(t, path)
	test.OK(t, os.Rename(path, path+".away"))
	if err := os.WriteFile(path, []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	test.Check(t, j.Close(0))
	if data, err := os.ReadFile(path); string(data) != "not ours" {
		t.Errorf("%q, %v", data, err)
	}
}

// A run whose journal is removed after the last row was written does not end as if it were
// remembered.
func TestCloseOfRemovedJournal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no open file")
	}
	for _, suffix := range []string{"", "-wal", ".lock"} {
		t.Run("without "+suffix, func(t *testing.T) {
			path := newPath(t)
			j := mustOpen(t, path)
			mustPut(t, j, full(1))
			test.OK(t, os.Remove(path+suffix))
			if err := j.Close(0); !errors.Is(err, errReplaced) {
				t.Error(err)
			}
		})
	}
}
