package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	err := errors.Join(os.Mkdir("state", 0o700), os.Mkdir("state/dir.db", 0o700),
		os.Mkdir("x", 0o700))
	for _, name := range []string{"state/a.db", "state/b.c.db", "state/a.db-wal", "x/a.db",
		"file"} {
		err = errors.Join(err, os.WriteFile(name, nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, name, path, err string }{
		{dir: "state", name: "a", path: "state/a.db"},
		{dir: "state", name: "a.db", path: "state/a.db"},
		{dir: "state", name: "b.c", path: "state/b.c.db"},
		{dir: "state", name: "x/a.db", path: "x/a.db"},
		{dir: "state", name: "file", path: "file"},
		{dir: "", name: "x/a.db", path: "x/a.db"},
		{dir: "state", name: "x", err: "x is not a file; see penstock journal list"},
		{dir: "state", name: "x/b.db", err: "there is no file x/b.db"},
		{dir: "state", name: "dir", err: `there is no journal "dir" in state`},
		{dir: "none", name: "aa.db", err: `there is no journal "aa.db" in none`},
	} {
		path, err := Find(c.dir, filepath.FromSlash(c.name))
		if filepath.ToSlash(path) != c.path || (err == nil) != (c.err == "") || err != nil &&
			err.Error() != c.err {
			t.Errorf("%q in %q: %q, %v", c.name, c.dir, path, err)
		}
	}
	_, err = Find("state", "c")
	var none *NotFoundError
	if !errors.As(err, &none) || !cmp.Equal(none.Known, []string{"a", "b.c"}) {
		t.Errorf("%+v", err)
	}
}
