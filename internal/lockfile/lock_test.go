package lockfile

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// A lock on a file that was removed excludes nobody, and says so.
func TestRemoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no open file")
	}
	path := filepath.Join(t.TempDir(), "j.db")
	first, err := Try(path)
	if err != nil || first == nil || first.Removed() {
		t.Fatal(first, err)
	}
	defer first.Close()
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	second, err := Try(path)
	if err != nil || second == nil {
		t.Fatal(second, err)
	}
	if !first.Removed() || second.Removed() {
		t.Errorf("removed: the first %v, the second %v", first.Removed(), second.Removed())
	}
	if third, err := Try(path); third != nil || err != nil {
		t.Errorf("locked twice: %v", err)
	}
	if err := second.Remove(); err != nil {
		t.Error(err)
	}
	if Held(path) {
		t.Error("the lock was not given up")
	}
}
