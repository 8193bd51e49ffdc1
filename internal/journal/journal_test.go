package journal

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

func TestRowComesBack(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	mustPut(t, j, full(7))
	got, err := j.Load(7)
	test.OK(t, err)
	equal(t, "loaded", got, full(7))
	mustClose(t, j)
	equal(t, "read", all(t, path), []Item{full(7)})

	j = mustOpen(t, path)
	equal(t, "claimed", j.Claim(7, full(7).Fingerprint),
		Claim{State: item.Failed, Same: true, Receipt: true})
	equal(t, "earlier", j.Earlier(), Earlier{Runs: 1, Last: j.Earlier().Last,
		Counts: Counts{item.Failed: 1}})
}

func TestClaim(t *testing.T) {
	j := mustOpen(t, newPath(t))
	f := Fingerprint{5, mtime, 7}
	equal(t, "new", j.Claim(0, f), Claim{})
	equal(t, "again", j.Claim(0, f), Claim{Twice: true})
	equal(t, "peek at a claimed one", j.Peek(0, f), Claim{Twice: true})
	equal(t, "peek at a new one", j.Peek(9, f), Claim{})
	equal(t, "peek leaves no mark", j.Claim(9, f), Claim{})
	if _, err := j.Load(9); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of what was only claimed: %v", err)
	}
	mustPut(t, j, Item{ID: 0, Fingerprint: f, State: item.Delivered})
	for _, c := range []struct {
		f    Fingerprint
		same bool
	}{
		{f, true},
		{Fingerprint{5, mtime.Local(), 7}, true},
		{Fingerprint{5, mtime, 8}, false},
		{Fingerprint{6, mtime, 7}, false},
		{Fingerprint{5, mtime.Add(1), 7}, false},
		{Fingerprint{5, time.Time{}, 7}, false},
		{Fingerprint{}, false},
	} {
		equal(t, "claim", j.Claim(0, c.f), Claim{State: item.Delivered, Same: c.same, Twice: true})
	}
}

// A digest was expensive; all else is what the last row says.
func TestPutReplaces(t *testing.T) {
	j := mustOpen(t, newPath(t))
	mustPut(t, j, full(7))
	bare := Item{ID: 7, Fingerprint: full(7).Fingerprint, State: item.Deferred,
		Last: time.UnixMilli(5)}
	mustPut(t, j, bare)
	want := bare
	want.Digest = full(7).Digest
	got, err := j.Load(7)
	equal(t, "unchanged file", got, want)
	bare.Size++
	mustPut(t, j, bare)
	got, err2 := j.Load(7)
	equal(t, "changed file", got, bare)
	if err != nil || err2 != nil {
		t.Error(err, err2)
	}
}

func TestTimes(t *testing.T) {
	path := newPath(t)
	first, last := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)
	times := []struct{ in, out time.Time }{
		{time.Time{}, time.Time{}},
		{time.Unix(0, 0), time.Unix(0, 0)},
		{time.Unix(0, -1), time.Unix(0, -1)},
		{first, first},
		{last, last},
		{time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), first},
		{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), last},
		{time.Unix(math.MaxInt64, 0), last},
	}
	j := mustOpen(t, path)
	for i, tt := range times {
		mustPut(t, j, Item{ID: uint64(i), Fingerprint: Fingerprint{ModTime: tt.in},
			State: item.Delivered, First: time.UnixMilli(1),
			Last: time.Date(292000000, 1, 1, 0, 0, 0, 0, time.UTC)})
	}
	mustClose(t, j)
	j = mustOpen(t, path)
	for i, tt := range times {
		it, err := j.Load(uint64(i))
		if err != nil || !it.ModTime.Equal(tt.out) || it.ModTime.IsZero() != tt.in.IsZero() {
			t.Errorf("%v: %v, %v; want %v", tt.in, it.ModTime, err, tt.out)
		}
		if c := j.Claim(uint64(i), Fingerprint{ModTime: tt.in}); !c.Same {
			t.Errorf("%v is not the same after it was on disk", tt.in)
		}
	}
}

// The clock may say anything: what is recorded is only told.
func TestClockJumps(t *testing.T) {
	path := newPath(t)
	for _, started := range []time.Time{time.Unix(-1e9, 0),
		time.Date(2222, 1, 1, 0, 0, 0, 0, time.UTC), {}} {
		j, err := Open(context.Background(), Options{Path: path, Started: started})
		test.OK(t, err)
		mustPut(t, j, Item{ID: 1, State: item.Delivered, Last: started})
		mustClose(t, j)
	}
	j := mustOpen(t, path)
	if e := j.Earlier(); e.Runs != 3 || e.Killed || time.Since(e.Last) > time.Hour {
		t.Errorf("%+v", e)
	}
}

func TestKilledRun(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	mustPut(t, j, Item{ID: 1, State: item.InFlight,
		Last: time.Date(2222, 1, 1, 0, 0, 0, 0, time.UTC)})
	mustPut(t, j, Item{ID: 2, State: item.Delivered, Last: time.UnixMilli(5)})
	if _, err := j.conn.ExecContext(context.Background(), "DELETE FROM run WHERE n <> ?",
		j.run); err != nil {
		t.Fatal(err)
	}
	test.OK(t, j.ask(func(*writer) { j.run = -1 })) // so that Close notes no end
	mustClose(t, j)
	j = mustOpen(t, path)
	equal(t, "earlier", j.Earlier(), Earlier{
		Runs: 1, Killed: true, Last: time.Date(2222, 1, 1, 0, 0, 0, 0, time.UTC),
		Counts: Counts{item.InFlight: 1, item.Delivered: 1},
	})
}

// A row is committed at once if no commit ended in the last 10 ms, if somebody waits for the
// writer, or if 128 rows have come together; otherwise when these 10 ms are over.
func TestInstantsOfCommits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, filepath.Join(dir, "j.db"))
		begin := time.Now()
		var id uint64
		put := func(rows int, want time.Duration) {
			for range rows {
				id++
				j.Put(Item{ID: id, State: item.Delivered}, func(err error) {
					if got := time.Since(begin); got != want || err != nil {
						t.Errorf("a row is committed after %v, %v; want %v", got, err, want)
					}
				})
			}
		}
		at := func(d time.Duration) { time.Sleep(time.Until(begin.Add(d))) }

		put(1, 0)
		synctest.Wait()
		put(2, rest)
		at(rest / 2)
		put(3, rest)
		at(3 * rest)
		put(1, 3*rest)
		synctest.Wait()
		put(crowd, 3*rest)
		synctest.Wait()
		put(crowd-1, 4*rest)

		at(5 * rest)
		for range 3 {
			put(1, 5*rest)
			synctest.Wait()
			put(1, 5*rest)
			test.Check(t, j.Begin(t.Context(), Item{ID: 1000}))
			put(1, 5*rest)
			test.Check(t, j.Flush())
			put(1, 5*rest)
			if _, err := j.Load(1); err != nil {
				t.Error(err)
			}
			test.Check(t, j.Begin(t.Context(), Item{ID: 1001}))
			ended := time.Now()
			j.Put(Item{ID: 1001, State: item.Delivered}, func(error) {
				if got := time.Since(ended); got != 0 {
					t.Errorf("what became of an item in flight is committed after %v", got)
				}
			})
			at(6 * rest)
			begin = begin.Add(rest)
		}
		put(1, 5*rest)
		put(1, 5*rest)
		mustClose(t, j)
	})
}

// Put blocks while 256 rows wait, Begin only as long as its context lasts, and done is called in
// order.
func TestQueue(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, filepath.Join(dir, "j.db"))
		defer j.Close(0)
		hold := make(chan struct{})
		var order []uint64
		put := func(id uint64) {
			j.Put(Item{ID: id, State: item.Delivered},
				func(error) { order = append(order, id); <-hold })
		}
		put(0)
		synctest.Wait() // the writer is in done, its queue is empty
		var put1 atomic.Int64
		go func() {
			for id := uint64(1); id <= queueSize+1; id++ {
				put(id)
				put1.Add(1)
			}
		}()
		synctest.Wait()
		if n := put1.Load(); n != queueSize || len(j.slots) != queueSize {
			t.Errorf("%d rows were put, %d wait; want %d", n, len(j.slots), queueSize)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("too long"))
		defer cancel()
		before := time.Now()
		if err := j.Begin(ctx, Item{ID: 1000}); err == nil || err.Error() != "too long" ||
			time.Since(before) != time.Second {
			t.Errorf("Begin with a full queue: %v after %v", err, time.Since(before))
		}
		if c := j.Peek(1000, Fingerprint{}); c != (Claim{}) {
			t.Errorf("what was not begun is %v", c)
		}
		close(hold)
		test.Check(t, j.Flush())
		synctest.Wait()
		j.Flush()
		for i, id := range order {
			if uint64(i) != id {
				t.Fatalf("done in the order %v", order)
			}
		}
		if len(order) != queueSize+2 || len(j.slots) != 0 {
			t.Errorf("%d done, %d wait", len(order), len(j.slots))
		}
	})
}

func TestAfterClose(t *testing.T) {
	j := mustOpen(t, newPath(t))
	mustClose(t, j)
	mustClose(t, j)
	for range 2*queueSize + 1 {
		called := false
		j.Put(Item{ID: 1, State: item.Delivered},
			func(err error) { called = errors.Is(err, ErrClosed) })
		if !called {
			t.Fatal("Put: done was not called with ErrClosed")
		}
	}
	_, err := j.Load(1)
	for _, err := range []error{err, j.Begin(t.Context(), Item{ID: 1}), j.Flush()} {
		if !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

func TestManyWriters(t *testing.T) {
	path := newPath(t)
	j := mustOpen(t, path)
	const workers, each = 16, 200
	var dones atomic.Int64
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		wg.Go(func() {
			for i := range uint64(each) {
				it := Item{ID: w<<32 | i, State: item.Delivered}
				if i%10 == 0 {
					test.Check(t, j.Begin(t.Context(), it))
				}
				j.Put(it, func(err error) {
					if err == nil {
						dones.Add(1)
					}
				})
				if i%50 == 0 {
					if got, err := j.Load(it.ID); err != nil || got.State != item.Delivered {
						t.Error(got, err)
					}
				}
			}
		})
	}
	wg.Wait()
	mustClose(t, j)
	if n := dones.Load(); n != workers*each {
		t.Errorf("%d done", n)
	}
	if n := len(all(t, path, item.Delivered)); n != workers*each {
		t.Errorf("%d rows", n)
	}
}

func TestFilesAreForTheUserAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "j.db")
	j := mustOpen(t, path)
	mustPut(t, j, full(1))
	for name, want := range map[string]fs.FileMode{path: 0o600, path + "-wal": 0o600,
		path + "-shm": 0o600, path + ".lock": 0o600, dir: 0o700} {
		fi, err := os.Stat(name)
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", name, fi.Mode().Perm(), err, want)
		}
	}
	mustClose(t, j)
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	equal(t, "at rest", names, []string{"j.db", "j.db.lock"})
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.db"), filepath.Join(dir, "link.db")
	if err := os.Symlink("real.db", link); err != nil {
		t.Skip(err)
	}
	j := mustOpen(t, link) // to a file that is not there yet
	mustPut(t, j, full(1))
	var inUse *InUseError
	if _, err := Open(t.Context(), Options{Path: real}); !errors.As(err, &inUse) {
		t.Errorf("the link's target is not locked: %v", err)
	}
	mustClose(t, j)
	equal(t, "by the link", all(t, link), []Item{full(1)})
	loop := filepath.Join(dir, "loop.db")
	os.Symlink("loop.db", loop)
	if _, err := Open(t.Context(), Options{Path: loop}); err == nil {
		t.Error("a link to itself was opened")
	}
}

// Random operations give what a map gives, over restarts too.
func TestModel(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		sub, err := os.MkdirTemp(dir, "")
		test.OK(t, err)
		path := filepath.Join(sub, "j.db")
		open := func() *Journal {
			j, err := Open(context.Background(), Options{Path: path})
			test.OK(t, err)
			j.Claim(1<<62, Fingerprint{}) // an item that is no other
			return j
		}
		j := open()
		defer func() { j.Close(0) }()
		rows := map[uint64]Item{}
		claimed := map[uint64]bool{}
		var order []uint64
		runs := 1
		id := rapid.OneOf(rapid.Uint64Range(0, 5),
			rapid.SampledFrom([]uint64{1 << 63, math.MaxUint64, 1<<63 + 1}))
		print := rapid.Custom(func(t *rapid.T) Fingerprint {
			return Fingerprint{rapid.Int64Range(0, 1).Draw(t, "size"),
				mtime.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "ns"))), 0}
		})
		record := func(it Item) {
			old, ok := rows[it.ID]
			if !ok {
				order = append(order, it.ID)
			}
			if it.Digest == nil && ok && old.Fingerprint == it.Fingerprint {
				it.Digest = old.Digest
			}
			rows[it.ID] = it
		}
		draw := func() Item {
			it := Item{
				ID: id.Draw(t, "id"), Fingerprint: print.Draw(t, "print"),
				State:    item.Fate(rapid.IntRange(1, 5).Draw(t, "state")),
				Attempts: rapid.IntRange(0, 9).Draw(t, "attempts"),
				Last:     time.UnixMilli(rapid.Int64Range(0, 9).Draw(t, "last")),
			}
			if rapid.Bool().Draw(t, "digest") {
				it.Digest = []byte{1}
			}
			return it
		}
		want := func(id uint64, f Fingerprint) Claim {
			it, ok := rows[id]
			return Claim{State: it.State, Same: ok && it.Fingerprint == f, Twice: claimed[id]}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(*rapid.T) {
				it := draw()
				j.Put(it, nil)
				record(it)
			},
			"begin": func(*rapid.T) {
				it := draw()
				test.OK(t, j.Begin(context.Background(), it))
				it.State = item.InFlight
				record(it)
			},
			"claim": func(*rapid.T) {
				id, f := id.Draw(t, "id"), print.Draw(t, "print")
				equal(t, "claim", j.Claim(id, f), want(id, f))
				claimed[id] = true
			},
			"peek": func(*rapid.T) {
				id, f := id.Draw(t, "id"), print.Draw(t, "print")
				equal(t, "peek", j.Peek(id, f), want(id, f))
			},
			"load": func(*rapid.T) {
				id := id.Draw(t, "id")
				got, err := j.Load(id)
				if _, ok := rows[id]; !ok {
					if !errors.Is(err, fs.ErrNotExist) {
						t.Fatal(err)
					}
					return
				}
				test.OK(t, err)
				equal(t, "load", got, rows[id])
			},
			"restart": func(*rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "restart") != 0 { // it takes longer than all else
					t.Skip()
				}
				test.OK(t, j.Close(0))
				var want []Item
				counts := Counts{}
				for _, id := range order {
					want = append(want, rows[id])
					counts[rows[id].State]++
				}
				equal(t, "rows", all(t, path), want)
				j = open()
				if d := cmp.Diff(Earlier{Runs: runs, Counts: counts}, j.Earlier(),
					cmpopts.IgnoreFields(Earlier{}, "Last")); d != "" {
					t.Fatal(d)
				}
				claimed = map[uint64]bool{}
				runs++
			},
		})
	})
}
