package outfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// One file may have many names.
func TestSame(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := errors.Join(os.Mkdir("d", 0o700), os.Symlink("d", "link"),
		os.Symlink("new", "to-new"), os.WriteFile("old", nil, 0o600),
		os.Symlink("old", "to-old"), os.Link("old", "hard")); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"r", "./r", true},
		{"r", filepath.Join(dir, "r"), true},
		{"d/r", "link/r", true},
		{"d/r", "link/../d/r", true},
		{"new", "to-new", true},
		{"old", "to-old", true},
		{"old", "hard", true},
		{"d/r", "r", false},
		{"old", "new", false},
		{"nosuch/r", "r", false},
		{os.DevNull, os.DevNull, false}, // nothing is overwritten there
	} {
		if got := Same(c.a, c.b); got != c.want {
			t.Errorf("Same(%q, %q) is %v", c.a, c.b, got)
		}
	}
}
