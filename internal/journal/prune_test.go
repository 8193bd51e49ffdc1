package journal

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

func TestForget(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	for i := range uint64(2000) {
		it := full(i)
		it.State = item.Fate(i%5 + 1)
		j.Put(it, nil)
	}
	mustClose(t, j)
	before, _ := os.Stat(path)
	n, err := Forget(path, func(it Item) bool { return it.State != item.Delivered })
	if n != 1600 || err != nil {
		t.Fatal(n, err)
	}
	if after, _ := os.Stat(path); after.Size() > before.Size()/2 {
		t.Errorf("it has %d bytes, had %d", after.Size(), before.Size())
	}
	j = mustOpen(t, path)
	if c := j.Claim(0, full(0).Fingerprint); c != (Claim{}) {
		t.Errorf("%+v", c)
	}
	equal(t, "claimed", j.Claim(1, full(1).Fingerprint),
		Claim{State: item.Delivered, Same: true, Receipt: true})
	mustPut(t, j, full(0))
	mustClose(t, j)
	if items := all(t, path); len(items) != 401 || items[400].ID != 0 {
		t.Errorf("%d rows", len(items))
	}
	if n, err := Forget(path, everything); n != 401 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := Forget(path, everything); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	j = mustOpen(t, path)
	if e := j.Earlier(); e.Runs != 2 || len(e.Counts) != 0 {
		t.Errorf("%+v", e)
	}
}

func names(list []Info) []string {
	var names []string
	for _, info := range list {
		names = append(names, filepath.Base(info.Path))
	}
	slices.Sort(names)
	return names
}

func TestListAndPrune(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	if list, err := List(none); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
	if list, err := Prune(none, 0, false); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
	for name, age := range map[string]time.Duration{"old.db": 48 * time.Hour,
		"older.db": 1000 * time.Hour, "new.db": 0, "future.db": -1000 * time.Hour} {
		path := filepath.Join(dir, name)
		j := mustOpen(t, path)
		mustPut(t, j, full(1))
		j.Close(3)
		j = mustOpen(t, path)
		if _, err := j.conn.ExecContext(context.Background(),
			"UPDATE run SET finished = ? WHERE n <> ?", time.Now().Add(-age).UnixMilli(),
			j.run); err != nil {
			t.Fatal(err)
		}
		if _, err := j.conn.ExecContext(context.Background(), "DELETE FROM run WHERE n = ?",
			j.run); err != nil {
			t.Fatal(err)
		}
		mustClose(t, j)
	}
	used := mustOpen(t, filepath.Join(dir, "used.db"))
	if _, err := used.conn.ExecContext(context.Background(),
		"UPDATE run SET started = 0"); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "foreign.db"), []byte("mine"), 0o600)
	os.WriteFile(filepath.Join(dir, "empty.db"), nil, 0o600)
	os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600)
	os.Mkdir(filepath.Join(dir, "directory.db"), 0o700)

	list, err := List(dir)
	test.OK(t, err)
	equal(t, "list", names(list), []string{"empty.db", "foreign.db", "future.db", "new.db",
		"old.db", "older.db", "used.db"})
	if filepath.Base(list[0].Path) != "future.db" ||
		!slices.IsSortedFunc(list, func(a, b Info) int { return b.Last.Compare(a.Last) }) {
		t.Errorf("not in order: %v", list)
	}
	for _, info := range list {
		name := filepath.Base(info.Path)
		if (info.Err != nil) != (name == "foreign.db" || name == "empty.db") ||
			info.Running != (name == "used.db") {
			t.Errorf("%s: running %v, %v", name, info.Running, info.Err)
		}
	}

	for _, dryRun := range []bool{true, false} {
		gone, err := Prune(dir, 24*time.Hour, dryRun)
		test.OK(t, err)
		equal(t, "pruned", names(gone), []string{"old.db", "older.db"})
	}
	entries, _ := os.ReadDir(dir)
	var left []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".db-wal" && ext != ".db-shm" {
			left = append(left, e.Name())
		}
	}
	equal(t, "left", left, []string{"directory.db", "empty.db", "foreign.db", "future.db",
		"future.db.lock", "new.db", "new.db.lock", "notes.txt", "used.db", "used.db.lock"})
	if gone, err := Prune(dir, 24*time.Hour, false); len(gone) != 0 || err != nil {
		t.Error(gone, err)
	}
	mustPut(t, used, full(1))
	mustClose(t, used)
}
