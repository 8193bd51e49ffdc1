package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

func remedy(err error) Remedy {
	var e *Error
	if !errors.As(err, &e) {
		return NoRemedy
	}
	return e.Remedy
}

// What cannot be opened says which file, what is wrong and what to do, and is left as it was.
func TestOpenErrors(t *testing.T) {
	good := newPath(t)
	j := mustOpen(t, good)
	for i := range 500 {
		it := full(uint64(i))
		it.Error = strings.Repeat("e", 100)
		j.Put(it, nil)
	}
	mustClose(t, j)
	valid, err := os.ReadFile(good)
	test.OK(t, err)
	edit := func(at int, b ...byte) []byte {
		data := append([]byte(nil), valid...)
		copy(data[at:], b)
		return data
	}
	garbled := append([]byte(nil), valid...)
	for i := 3 * 4096; i < len(garbled); i++ {
		garbled[i] = byte(i * 7)
	}
	for _, tt := range []struct {
		name string
		data []byte
		want []string
	}{
		{"no SQLite file", []byte("{\"type\":\"item\"}\n" + strings.Repeat("x", 200)),
			[]string{"is not a penstock journal", "not an SQLite file"}},
		{"another program's", edit(68, 0, 0, 0, 0),
			[]string{"is not a penstock journal", "another program"}},
		{"newer", edit(60, 0, 0, 0, version+1),
			[]string{"was written by a newer penstock (journal version 7)"}},
		{"version 0", edit(60, 0, 0, 0, 0), []string{"is damaged"}},
		{"a few bytes", valid[:50], []string{"is damaged", "cut short"}},
		{"fewer bytes", valid[:7], []string{"is damaged", "cut short"}},
		{"half", valid[:len(valid)/2], []string{"is damaged"}},
		{"a byte less", valid[:len(valid)-1], []string{"is damaged"}},
		{"garbled pages", garbled, []string{"is damaged"}},
		{"another state", []byte(strings.Replace(string(valid), "failed", "fooled", -1)),
			[]string{"is damaged"}},
		{"another schema", []byte(strings.Replace(string(valid), "mtime INTEGER", "ntime INTEGER",
			1)), []string{"is damaged", `"item"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := newPath(t)
			test.OK(t, os.WriteFile(path, tt.data, 0o600))
			_, err := Open(t.Context(), Options{Path: path})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("no *Error: %v", err)
			}
			for _, want := range append(tt.want, path) {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v\nwant %q", err, want)
				}
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(tt.data) {
				t.Errorf("the file was changed: %v", err)
			}
			// The lock is given up, and there is none beside what is not ours.
			if _, err := os.Stat(path + ".lock"); err == nil && !errors.Is(e, errDamaged) {
				t.Error("a lock file was made")
			}
			if _, err := Open(t.Context(), Options{Path: path}); !errors.As(err, &e) {
				t.Errorf("again: %v", err)
			}
			r, err := OpenReader(path)
			if err == nil { // what is wrong with rows is seen when they are read
				for _, err1 := range r.Items(0) {
					err = err1
				}
				r.Close()
			}
			if !errors.As(err, &e) || !strings.Contains(err.Error(), path) {
				t.Errorf("reading: %v", err)
			}
		})
	}
}

func TestOpenNames(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o600)
	for path, want := range map[string]string{
		"":                             "no name",
		dir:                            "is a directory",
		filepath.Join(file, "j.db"):    "not a directory",
		filepath.Join(dir, "a\x00.db"): "",
	} {
		_, err := Open(t.Context(), Options{Path: path})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, name := range []string{"a b?c#d%41&e.db", "é\xff;.db", "new\nline.db"} {
		if runtime.GOOS != "linux" {
			break
		}
		path := filepath.Join(dir, name)
		j := mustOpen(t, path)
		mustPut(t, j, full(1))
		if _, err := os.Stat(path + "-wal"); err != nil {
			t.Error(err)
		}
		mustClose(t, j)
		equal(t, name, all(t, path), []Item{full(1)})
	}
}

// An empty file is a new journal, but not while a part of a lost one lies beside it.
func TestLeftovers(t *testing.T) {
	path := newPath(t)
	os.WriteFile(path, nil, 0o600)
	j := mustOpen(t, path)
	if e := j.Earlier(); e.Runs != 0 {
		t.Errorf("%+v", e)
	}
	mustPut(t, j, full(1))
	// What a crash leaves: the file, and a log with what was put last.
	db, _ := os.ReadFile(path)
	wal, _ := os.ReadFile(path + "-wal")
	mustClose(t, j)
	crash := newPath(t)
	os.WriteFile(crash, db, 0o600)
	os.WriteFile(crash+"-wal", wal, 0o600)
	equal(t, "read after a crash", all(t, crash), []Item{full(1)})
	j = mustOpen(t, crash)
	if e := j.Earlier(); e.Runs != 1 || !e.Killed || e.Counts[item.Failed] != 1 {
		t.Errorf("%+v", e)
	}
	mustClose(t, j)

	lost := newPath(t)
	os.WriteFile(lost+"-wal", wal, 0o600)
	for range 2 {
		if _, err := Open(t.Context(), Options{Path: lost}); err == nil ||
			!strings.Contains(err.Error(), lost+"-wal") {
			t.Errorf("a log without its file: %v", err)
		}
	}
	if _, err := os.Stat(lost); err == nil {
		t.Error("it made the file")
	}
	os.WriteFile(lost, nil, 0o600)
	if _, err := Open(t.Context(), Options{Path: lost}); err == nil || remedy(err) != PutBack {
		t.Errorf("a log with an empty file: %v", err)
	}
}

// fillUp puts rows until the journal has failed, and some after. It returns what done said, in
// order.
func fillUp(t *testing.T, j *Journal) (ids *[]uint64, errs *[]error) {
	ids, errs = new([]uint64), new([]error)
	it := full(0)
	it.Error = strings.Repeat("x", 1000)
	for after := 0; after < 2*queueSize; it.ID++ {
		id := it.ID
		j.Put(it, func(err error) { *ids, *errs = append(*ids, id), append(*errs, err) })
		select {
		case <-j.Failed():
			after++
		default:
		}
		if it.ID > 1e6 {
			t.Fatal("the disk is never full")
		}
	}
	var e *Error
	if err := j.Err(); !errors.As(err, &e) || !strings.Contains(err.Error(), "disk is full") ||
		!strings.Contains(err.Error(), j.Path()) {
		t.Errorf("Err: %v", err)
	}
	if err := j.Begin(t.Context(), Item{ID: 1 << 40}); err == nil {
		t.Error("Begin on a full disk")
	}
	if _, err := j.Load(1); err == nil {
		t.Error("Load on a full disk")
	}
	return ids, errs
}

func setMaxPages(t *testing.T, j *Journal, n int) {
	if _, err := j.conn.ExecContext(t.Context(),
		fmt.Sprintf("PRAGMA max_page_count=%d", n)); err != nil {
		t.Fatal(err)
	}
}

// What could not be written is written as soon as there is room.
func TestDiskFullForAWhile(t *testing.T) {
	for _, end := range []string{"flush", "close"} {
		path := newPath(t)
		j := mustOpen(t, path)
		setMaxPages(t, j, 200)
		ids, errs := fillUp(t, j)
		setMaxPages(t, j, 1e6)
		if end == "flush" {
			test.Check(t, j.Flush())
			if len(*errs) != len(*ids) || len(all(t, path)) != len(*ids) {
				t.Errorf("%d of %d done after Flush", len(*errs), len(*ids))
			}
		}
		mustClose(t, j)
		rows := all(t, path)
		if len(rows) != len(*ids) {
			t.Errorf("%d rows, %d done", len(rows), len(*ids))
		}
		for i, err := range *errs {
			if err != nil || (*ids)[i] != uint64(i) || rows[i].ID != uint64(i) {
				t.Fatalf("%d is row %d, done for %d: %v", i, rows[i].ID, (*ids)[i], err)
			}
		}
	}
}

// What cannot be written in the end is said, row by row; what was written before is there.
func TestDiskFullForGood(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	setMaxPages(t, j, 200)
	ids, errs := fillUp(t, j)
	err := j.Close(6)
	var e *Error
	if !errors.As(err, &e) || remedy(err) != MakeRoom || strings.Contains(err.Error(), "\n") {
		t.Errorf("Close: %v", err)
	}
	checkWritten(t, path, *ids, *errs)
	j = mustOpen(t, path)
	mustPut(t, j, full(1<<50))
	mustClose(t, j)
}

// checkWritten fails unless the rows are those for which done had no error.
func checkWritten(t *testing.T, path string, ids []uint64, errs []error) {
	t.Helper()
	there := map[uint64]bool{}
	for _, it := range all(t, path) {
		there[it.ID] = true
	}
	failed := 0
	for i, err := range errs {
		if ids[i] != uint64(i) {
			t.Fatalf("done out of order: %d, %d", i, ids[i])
		}
		if there[ids[i]] != (err == nil) {
			t.Fatalf("%d is there: %v, done: %v", ids[i], there[ids[i]], err)
		}
		if err != nil {
			failed++
		}
	}
	if failed == 0 || failed == len(errs) || len(there) != len(errs)-failed {
		t.Errorf("%d of %d failed, %d rows", failed, len(errs), len(there))
	}
}

// A file that is no longer the one that was opened would take rows for nobody.
func TestReplacedUnderway(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no open file")
	}
	path := newPath(t)
	move := func(from, to string) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			test.OK(t, os.Rename(from+suffix, to+suffix))
		}
	}
	start := func() *Journal {
		j := mustOpen(t, path)
		mustPut(t, j, full(1))
		move(path, path+".away")
		if err := j.Begin(t.Context(), full(2)); !errors.Is(err, errReplaced) ||
			!strings.Contains(err.Error(), path) {
			t.Error(err)
		}
		<-j.Failed()
		if err := j.Err(); !errors.Is(err, errReplaced) {
			t.Error(err)
		}
		return j
	}
	// Put back, it gets what waited, but not what was not begun.
	j := start()
	j.Put(full(3), nil)
	move(path+".away", path)
	mustClose(t, j)
	equal(t, "put back", all(t, path), []Item{full(1), full(3)})

	// Another in its place is left alone.
	j = start()
	for _, suffix := range []string{"", "-wal"} {
		os.WriteFile(path+suffix, []byte("not ours"), 0o600)
	}
	var got error
	j.Put(full(3), func(err error) { got = err })
	if err := j.Close(6); !errors.Is(err, errReplaced) || !errors.Is(got, errReplaced) {
		t.Error(err, got)
	}
	for _, suffix := range []string{"", "-wal"} {
		if data, err := os.ReadFile(path + suffix); string(data) != "not ours" {
			t.Errorf("%q: %q, %v", suffix, data, err)
		}
	}
}

// An error in the middle of a transaction leaves none of it, and does not bar the next one.
func TestBrokenTransaction(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	exec := func(query string) {
		if _, err := j.conn.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TEMP TRIGGER bad BEFORE INSERT ON main.item WHEN new.id = 13 " +
		"BEGIN SELECT raise(ABORT, 'no'); END")
	j.Put(full(12), nil)
	j.Put(full(13), nil)
	j.Put(full(14), nil)
	<-j.Failed()
	exec("DROP TRIGGER bad")
	mustClose(t, j)
	equal(t, "rows", all(t, path), []Item{full(12), full(13), full(14)})
}

// Of two rows for one item the later one holds.
func TestTwoRows(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	mustPut(t, j, full(1))
	if _, err := j.conn.ExecContext(t.Context(),
		"INSERT INTO item SELECT n + 5, id, size, mtime, mark, 'delivered', "+
			"doubt, key_made, attempts, first, last, http_status, method, path, rel, url, "+
			"key, error, digest, older, captured FROM item"); err != nil {
		t.Fatal(err)
	}
	mustClose(t, j)
	j = mustOpen(t, path)
	equal(t, "counts", j.Earlier().Counts, Counts{item.Delivered: 1})
	equal(t, "claim", j.Claim(1, full(1).Fingerprint),
		Claim{State: item.Delivered, Same: true, Receipt: true})
	mustPut(t, j, full(2))
	mustClose(t, j)
	if items := all(t, path); len(items) != 3 || items[2].ID != 2 {
		t.Errorf("%d rows", len(items))
	}
}

// A file that is overwritten under way is damaged: that is said at the latest when it is opened
// next.
func TestOverwrittenUnderway(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	for i := range 2000 {
		j.Put(full(uint64(i)), nil)
	}
	mustClose(t, j)
	j = mustOpen(t, path)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	test.OK(t, err)
	f.WriteAt([]byte(strings.Repeat("\xa5", 1<<20)), 4096)
	f.Close()
	for i := range 2000 {
		j.Put(full(uint64(i)), nil)
	}
	err1 := j.Close(0)
	_, err2 := Open(t.Context(), Options{Path: path})
	if err := errors.Join(err1, err2); !errors.Is(err, errDamaged) {
		t.Errorf("%v", err)
	}
}

func TestOpenIsCancelled(t *testing.T) {
	path := newPath(t)
	fill(t, path, 3000)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{Path: path}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Microsecond)
	defer cancel()
	if _, err := Open(ctx, Options{Path: path}); err != nil &&
		!errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	} else if err == nil {
		t.Error("opened")
	}
	mustClose(t, mustOpen(t, path))
}
