package statedir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/test"
)

func TestOfShard(t *testing.T) {
	if got := ForShard("nightly.db", 2, 5); got != "nightly-2-of-5.db" {
		t.Error(got)
	}
	for name, want := range map[string][2]string{
		"nightly-2-of-5": {"nightly", "2/5"}, "a-1-of-2-3-of-4": {"a-1-of-2", "3/4"},
		"nightly": {"nightly", ""}, "n-2-of-": {"n-2-of-", ""}, "n--of-5": {"n--of-5", ""},
		"n-2-of-x": {"n-2-of-x", ""}, "2-of-5": {"2-of-5", ""}, "-of-5": {"-of-5", ""}, "": {},
	} {
		if whole, shard := OfShard(name); [2]string{whole, shard} != want {
			t.Errorf("%q: %q, %q", name, whole, shard)
		}
	}
}

func TestRelated(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.db", "a-1-of-2.db", "a-10-of-20.db", "a-b.db", "a-b-1-of-2.db",
		"a-1-of-2.db-wal", "b.db"} {
		test.OK(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	got, err := Related(dir, "a.db")
	test.OK(t, err)
	if diff := cmp.Diff([]string{"a-1-of-2", "a-10-of-20", "a"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, err := Related(filepath.Join(dir, "none"), "a.db"); got != nil || err != nil {
		t.Error(got, err)
	}
}
