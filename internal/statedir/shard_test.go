package statedir

import (
	"os"
	"path/filepath"
	"strings"
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

// [merge other job]
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"nt-*-of-2", "nt-1-of-2", true}, {"nt-*-of-2", "nt-17-of-2", true},
		{"nt-*-of-2", "nt-eu-1-of-2", false}, {"nt-*-of-2", "nt-1-of-2-3-of-2", false},
		{"nt-*-of-2", "nt-1-of-3", false}, {"nt-*-of-*", "nt-1-of-3", true},
		{"nt-*-of-*", "nt-eu-1-of-3", false}, {"nt-*-*-of-2", "nt-eu-1-of-2", true},
		{"*-*-of-2", "nt-eu-1-of-2", true}, {"nt-[12]-of-2", "nt-2-of-2", true},
		{"nt-[12]-of-2", "nt-3-of-2", false}, {"nt*", "nt-eu-1-of-2", true}, {"nt*", "nt", true},
		{"nt-*-of-2", "nt", false}, {"n[t-*-of-2", "nt-1-of-2", false},
	} {
		got, err := Match(c.pattern, c.name)
		if got != c.want || (err != nil) != strings.HasPrefix(c.pattern, "n[") {
			t.Errorf("%q, %q: %v, %v", c.pattern, c.name, got, err)
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
