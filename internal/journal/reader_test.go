package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/statedir"
	"github.com/penstock/penstock/internal/test"
)

func TestReader(t *testing.T) {
	path := newPath(t)
	began := time.Now()
	j, err := Open(t.Context(), Options{Path: path, Target: "https://h/{name}", Method: "PUT",
		Command: "penstock send a", Version: "1.2", Started: time.UnixMilli(1000)})
	test.OK(t, err)
	var want []Item
	for i := range 3*pageSize + 1 {
		it := full(uint64(i) * 0x9e3779b97f4a7c15)
		it.State = item.Fate(i%5 + 1)
		j.Put(it, nil)
		want = append(want, it)
	}
	first := want[0]
	first.Attempts++
	j.Put(first, nil) // keeps its place
	want[0] = first
	test.OK(t, j.Close(3))
	j = mustOpen(t, path)
	j.Claim(1, Fingerprint{})
	test.OK(t, j.Flush())

	equal(t, "all", all(t, path), want)
	equal(t, "two states", all(t, path, item.Failed, item.Unknown),
		slices.DeleteFunc(slices.Clone(want),
			func(it Item) bool { return it.State != item.Failed && it.State != item.Unknown }))
	equal(t, "no state", all(t, path, item.None), []Item(nil))

	r := mustRead(t, path)
	for range r.Items(0) {
		break
	}
	info, err := r.Info()
	test.OK(t, err)
	if !info.Running || info.Killed || info.Runs != 2 || info.Target != "https://h/{name}" ||
		info.Method != "PUT" || info.Command != "penstock send" || info.Path != path {
		t.Errorf("%+v", info)
	}
	if info.Counts[item.InFlight] != 301 || info.Counts[item.Delivered] != 300 ||
		len(info.Counts) != 5 {
		t.Errorf("%v", info.Counts)
	}
	var size int64
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		fi, err := os.Stat(name)
		test.OK(t, err)
		size += fi.Size()
	}
	if info.Size != size {
		t.Errorf("size %d, want %d", info.Size, size)
	}
	runs, err := r.Runs()
	if err != nil || len(runs) != 2 {
		t.Fatal(runs, err)
	}
	if d := runs[0].Finished.Sub(began); d < -time.Second || d > time.Minute {
		t.Errorf("finished %v", runs[0].Finished)
	}
	runs[0].Finished, runs[1].Started = time.Time{}, time.Time{}
	equal(t, "runs", runs, []Run{
		{Started: time.UnixMilli(1000), ExitStatus: 3, Target: "https://h/{name}", Method: "PUT",
			Command: "penstock send a", Version: "1.2"},
		{Target: "https://h/{name}", Method: "PUT", Command: "penstock send", Version: "1.0"},
	})
	// A run may end, and another begin, while somebody reads.
	mustClose(t, j)
	j = mustOpen(t, path)
	mustPut(t, j, full(77))
	n := 0
	for _, err := range r.Items(0) {
		test.OK(t, err)
		n++
	}
	if n != len(want)+1 {
		t.Errorf("%d rows", n)
	}
	test.Check(t, r.Close())
}

// A consumer that takes its time holds up neither a run nor its start and end.
func TestSlowReader(t *testing.T) {
	path := newPath(t)
	fill(t, path, 2*pageSize)
	r := mustRead(t, path)
	defer r.Close()
	n := 0
	for _, err := range r.Items(0) {
		test.OK(t, err)
		if n == pageSize/2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			j, err := Open(ctx, Options{Path: path})
			test.OK(t, err)
			mustPut(t, j, full(1<<40))
			mustClose(t, j)
			cancel()
		}
		n++
	}
	if n != 2*pageSize+1 {
		t.Errorf("%d rows", n)
	}
}

func TestReadingMakesNoFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "j.db")
	fill(t, path, 10)
	os.Remove(path + ".lock")
	// A copy that left the log behind is still in WAL mode.
	copied := filepath.Join(dir, "copied.db")
	j := mustOpen(t, path)
	data, _ := os.ReadFile(path)
	mustClose(t, j)
	os.Remove(path + ".lock")
	test.OK(t, os.WriteFile(copied, data, 0o600))
	for _, name := range []string{path, copied} {
		if n := len(all(t, name)); n != 10 {
			t.Errorf("%s: %d rows", name, n)
		}
	}
	if list, err := List(dir); err != nil || len(list) != 2 {
		t.Error(list, err)
	}
	if _, err := OpenReader(filepath.Join(dir, "none.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Forget(filepath.Join(dir, "none.db"), everything); !errors.Is(err,
		fs.ErrNotExist) {
		t.Error(err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 {
		t.Error(entries)
	}
}

// On a network file system there is no WAL; all else is the same, also after a crash in the middle
// of a commit.
func TestRollbackJournal(t *testing.T) {
	dir := t.TempDir()
	name := statedir.FileSystem(dir)
	if name == "" {
		t.Skip("this directory's file system has no name")
	}
	networkFS = statedir.FileSystem
	defer func() { networkFS = statedir.NetworkFS }()
	path := filepath.Join(dir, "j.db")
	var warning string
	j, err := Open(t.Context(), Options{Path: path, Warn: func(s string) { warning = s }})
	test.OK(t, err)
	defer j.Close(1)
	if want := "journal " + path + " is on a network file system (" + name +
		"): "; len(warning) < len(want) || warning[:len(want)] != want {
		t.Error(warning)
	}
	mustPut(t, j, full(1))
	equal(t, "during the run", all(t, path), []Item{full(1)})
	if _, err := os.Stat(path + "-wal"); err == nil {
		t.Error("there is a write-ahead log")
	}

	ctx := t.Context()
	for _, query := range []string{"PRAGMA cache_size=1", "BEGIN IMMEDIATE",
		"UPDATE item SET state = 'failed', path = zeroblob(100000)"} {
		if _, err := j.conn.ExecContext(ctx, query); err != nil {
			t.Fatal(err)
		}
	}
	crash := filepath.Join(t.TempDir(), "crash.db")
	for _, suffix := range []string{"", "-journal"} {
		data, err := os.ReadFile(path + suffix)
		test.OK(t, err)
		os.WriteFile(crash+suffix, data, 0o600)
	}
	if _, err := j.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	mustClose(t, j)
	equal(t, "after a crash", all(t, crash), []Item{full(1)})

	// From WAL to a rollback journal and back.
	networkFS = statedir.NetworkFS
	j = mustOpen(t, path)
	mustPut(t, j, full(2))
	mustClose(t, j)
	equal(t, "with WAL again", all(t, path), []Item{full(1), full(2)})
}

// A receipt that is no JSON object would break the line that it is written to.
func TestDamagedReceipt(t *testing.T) {
	for _, text := range []string{"''", "'{'", "'[]'"} {
		path := newPath(t)
		j := mustOpen(t, path)
		mustPut(t, j, full(1))
		_, err := j.conn.ExecContext(t.Context(), "UPDATE item SET captured = "+text)
		test.OK(t, err)
		if _, err := j.Load(1); !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v", text, err)
		}
		mustClose(t, j)
	}
}
