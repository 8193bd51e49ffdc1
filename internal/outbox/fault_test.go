package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/lockfile"
	"github.com/penstock/penstock/internal/test"
)

// wantFault checks that an error says where, and is of that kind.
func wantFault(t *testing.T, err error, dir string, want Fault) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("no *Error: %v", err)
		return
	}
	if e.Fault != want || !strings.Contains(err.Error(), dir) ||
		strings.Contains(err.Error(), "\n") {

		t.Errorf("%v (fault %d, want %d)", err, e.Fault, want)
	}
}

// pragma runs a statement on the writer's connection, which must be idle.
func pragma(t *testing.T, s *Store, format string, args ...any) {
	t.Helper()
	_, err := s.conn.ExecContext(t.Context(), fmt.Sprintf(format, args...))
	test.OK(t, err)
}

// Where there is no room, new requests are refused, one of those that are stored can be dropped,
// and what came of one that was sent waits until there is room.
func TestNoRoom(t *testing.T) {
	dir := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, Options{Dir: dir})
		defer s.Close()
		body := strings.Repeat("x", 10_000)
		first, second := mustPut(t, s, "a", body), mustPut(t, s, "a", body)
		pragma(t, s, "PRAGMA max_page_count=1") // no less than there are
		for range 2 {
			_, err := s.Put(request("a"), strings.NewReader(body))
			wantFault(t, err, dir, Full)
			wantFault(t, s.Err(), dir, Full)
		}
		wantFault(t, s.Try(), dir, Full)
		if st := s.Stats(); st.Waiting != 2 || st.Bytes != 20_000 {
			t.Errorf("%+v", st)
		}
		mustNext(t, s)
		done := make(chan error)
		go func() {
			answer := &Answer{Body: make([]byte, MaxAnswer)}
			done <- s.Finish(first.ID, Outcome{State: Failed, Status: 400, Answer: answer})
		}()
		synctest.Wait()
		if st := mustGet(t, s, first.ID).State; st != Waiting {
			t.Errorf("%s", st)
		}
		test.OK(t, s.Withdraw(second.ID)) // makes room for small ones
		mustPut(t, s, "a", "small")
		_, err := s.Put(request("a"), strings.NewReader(body+body))
		wantFault(t, err, dir, Full)
		pragma(t, s, "PRAGMA max_page_count=1000000")
		test.OK(t, s.Try())
		begin := time.Now()
		test.OK(t, <-done)
		if d := time.Since(begin); d > patience {
			t.Errorf("it took %v to notice that there is room", d)
		}
		if e := mustGet(t, s, first.ID); e.State != Failed || len(e.Answer.Body) != MaxAnswer {
			t.Errorf("%+v", e)
		}
		test.OK(t, s.Err())
	})
}

// A disk that is almost full takes no new requests, which is known before one is refused. What is
// stored is delivered.
func TestAlmostFull(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	defer s.Close()
	e := mustPut(t, s, "a", "body")
	s.minFree = math.MaxInt64
	wantFault(t, s.Err(), dir, Full)
	wantFault(t, s.Try(), dir, Full)
	_, err := s.Put(request("a"), strings.NewReader("body"))
	wantFault(t, err, dir, Full)
	mustNext(t, s)
	test.OK(t, s.Begin(e.ID, true))
	test.OK(t, s.Finish(e.ID, Outcome{State: Delivered, Status: 200}))
	s.minFree = 0
	test.OK(t, s.Err())
	test.OK(t, s.Try())
}

// If there is no room in the end, Close and Finish say so, and the request is as it was.
func TestNoRoomAtClose(t *testing.T) {
	dir := newDir(t)
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, Options{Dir: dir})
		e := mustPut(t, s, "a", "body")
		mustNext(t, s)
		test.OK(t, s.Begin(e.ID, true))
		pragma(t, s, "PRAGMA max_page_count=1")
		done := make(chan error)
		go func() {
			done <- s.Finish(e.ID, Outcome{State: Failed,
				Answer: &Answer{Body: make([]byte, MaxAnswer)}})
		}()
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		wantFault(t, <-done, dir, Full)
		wantFault(t, <-closed, dir, Full)
		if _, err := s.Put(request("a"), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("put: %v", err)
		}
		if err := s.Withdraw(e.ID); err == nil {
			t.Error("withdrawn after Close")
		}
		s = mustOpen(t, Options{Dir: dir})
		if got := mustGet(t, s, e.ID); got.State != Unknown || got.Answer != nil {
			t.Errorf("%+v", got)
		}
		test.OK(t, s.Close())
	})
}

// A relay that is killed while it makes the store may leave an SQLite file that has no table yet.
func TestOpenHalfMade(t *testing.T) {
	for name, log := range map[string]string{"first commit": "DELETE", "with a log": "WAL"} {
		t.Run(name, func(t *testing.T) {
			dir := newDir(t)
			test.OK(t, os.MkdirAll(dir, 0o700))
			path := filepath.Join(dir, file)
			test.OK(t, os.WriteFile(path, nil, 0o600))
			conn, err := dbfile.Open(t.Context(), path, "rw")
			test.OK(t, err)
			_, err = conn.ExecContext(t.Context(),
				"PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode="+log)
			test.OK(t, err)
			test.OK(t, conn.Close())
			if _, err := OpenReader(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a reader: %v", err)
			}
			s := mustOpen(t, Options{Dir: dir})
			e := mustPut(t, s, "a", "body")
			test.OK(t, s.Close())
			if got := mustRead(t, mustOpen(t, Options{Dir: dir}), e.ID); got != "body" {
				t.Errorf("%q", got)
			}
		})
	}
}

// What cannot be opened says where, and what is wrong, and is left as it was.
func TestOpenFaults(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	for range 100 {
		mustPut(t, s, "a", strings.Repeat("x", 500))
	}
	test.OK(t, s.Close())
	valid, err := os.ReadFile(filepath.Join(dir, file))
	test.OK(t, err)
	edit := func(at int, b ...byte) []byte {
		data := append([]byte(nil), valid...)
		copy(data[at:], b)
		return data
	}
	for name, c := range map[string]struct {
		data []byte
		want Fault
	}{
		"no SQLite file":    {[]byte(strings.Repeat("{}\n", 100)), Foreign},
		"another program's": {edit(68, 0, 0, 0, 0), Foreign},
		"a journal":         {edit(68, 'p', 's', 'k', 'j'), Foreign},
		"newer":             {edit(60, 0, 0, 0, version+1), Newer},
		"version 0":         {edit(60, 0, 0, 0, 0), Damaged},
		"a few bytes":       {valid[:50], Damaged},
		"half":              {valid[:len(valid)/2], Damaged},
		"a byte less":       {valid[:len(valid)-1], Damaged},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newDir(t)
			test.OK(t, os.MkdirAll(dir, 0o700))
			path := filepath.Join(dir, file)
			test.OK(t, os.WriteFile(path, c.data, 0o600))
			for range 2 {
				_, err := Open(t.Context(), Options{Dir: dir})
				wantFault(t, err, dir, c.want)
			}
			if after, err := os.ReadFile(path); string(after) != string(c.data) {
				t.Errorf("the file was changed: %v", err)
			}
			if _, err := os.Stat(path + ".lock"); err == nil && c.want != Damaged {
				t.Error("a lock file was made")
			}
			r, err := OpenReader(dir)
			if err == nil { // what is wrong with rows is seen when they are read
				for _, err1 := range r.List(Filter{}) {
					err = err1
				}
				test.OK(t, r.Close())
			}
			wantFault(t, err, dir, c.want)
		})
	}
}

func TestInUse(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir})
	wantFault(t, err, dir, InUse)
	var by *lockfile.InUseError
	if !errors.As(err, &by) || by.PID != os.Getpid() {
		t.Errorf("%v, by %+v", err, by)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := Open(ctx, Options{Dir: dir}); !errors.Is(err, why) {
		t.Error(err)
	}
	mustPut(t, s, "a", "")
	test.OK(t, s.Close())
	test.OK(t, s.Close())
	test.OK(t, mustOpen(t, Options{Dir: dir}).Close())
}

// A request that is not what was put concerns nobody else, also after a restart.
func TestChanged(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	large := strings.Repeat("x", 1<<20)
	write := func(id, content string) {
		test.OK(t, os.WriteFile(s.bodyPath(id), []byte(content), 0o600))
	}
	for name, c := range map[string]struct {
		body   string
		change func(e Entry)
	}{
		"another byte": {"body", func(e Entry) {
			pragma(t, s, "UPDATE body SET data = CAST('bodx' AS BLOB) WHERE seq = %d", e.Seq)
		}},
		"no row": {"body", func(e Entry) {
			pragma(t, s, "DELETE FROM body WHERE seq = %d", e.Seq)
		}},
		"another byte of a file": {large, func(e Entry) { write(e.ID, large[1:]+"y") }},
		"a byte less of a file":  {large, func(e Entry) { write(e.ID, large[1:]) }},
		"a byte more of a file":  {large, func(e Entry) { write(e.ID, large+"x") }},
		"another method": {"body", func(e Entry) {
			pragma(t, s, "UPDATE request SET method = 'DELETE' WHERE seq = %d", e.Seq)
		}},
		"another header": {"body", func(e Entry) {
			pragma(t, s, `UPDATE request SET header = '{"A":["b"]}' WHERE seq = %d`, e.Seq)
		}},
		"no header": {"body", func(e Entry) {
			pragma(t, s, "UPDATE request SET header = 'x' WHERE seq = %d", e.Seq)
		}},
		"no file": {large, func(e Entry) {
			test.OK(t, os.Remove(s.bodyPath(e.ID)))
		}},
	} {
		e, other := mustPut(t, s, "a", c.body), mustPut(t, s, "a", c.body)
		c.change(e)
		if _, err := s.Body(e.ID); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		if mustRead(t, s, other.ID) != c.body {
			t.Errorf("%s: another request has another body", name)
		}
	}
	list, _, err := s.Next(request("a").Target, 100)
	if test.OK(t, err); len(list) != 2*9 {
		t.Errorf("%d of %d requests are to be sent", len(list), 2*9)
	}
	test.OK(t, s.Close())
	if n := mustOpen(t, Options{Dir: dir}).Stats().Waiting; n != 2*9 {
		t.Errorf("%d requests wait after a restart", n)
	}
}

// A body without a request is removed.
func TestOrphans(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	e := mustPut(t, s, "a", strings.Repeat("x", 1<<20))
	small := mustPut(t, s, "a", "")
	test.OK(t, s.Close())
	for _, name := range []string{e.ID + unfinished, small.ID, "zz-zzz", "x"} {
		test.OK(t, os.WriteFile(filepath.Join(dir, bodies, name), []byte("x"), 0o600))
	}
	mustOpen(t, Options{Dir: dir})
	if got := files(t, dir); len(got) != 1 || got[0] != e.ID {
		t.Errorf("left: %v", got)
	}
}

// crash copies a store as it is on disk while it is open.
func crash(t *testing.T, dir string) string {
	to := newDir(t)
	test.OK(t, os.CopyFS(to, os.DirFS(dir)))
	test.OK(t, os.Remove(filepath.Join(to, file+"-shm")))
	return to
}

// After a crash it is decided what becomes of what was noted as begun; all else waits again.
func TestInterrupted(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	var ids []string
	for i := range 5 {
		e := mustPut(t, s, "a", "body")
		mustNext(t, s)
		test.OK(t, s.Begin(e.ID, i > 0))
		ids = append(ids, e.ID)
	}
	for name, c := range map[string]struct {
		decide func(Entry) (State, string)
		want   []State
	}{
		"by default": {nil, []State{Waiting, Unknown, Unknown, Unknown, Unknown}},
		"by a function": {func(e Entry) (State, string) {
			if e.State != Sending || e.First.IsZero() {
				t.Errorf("%+v", e)
			}
			return []State{Waiting, Failed, Unknown}[e.Seq%3], "why"
		}, []State{Waiting, Unknown, Waiting, Failed, Unknown}},
	} {
		dir := crash(t, dir)
		for range 2 { // the second time it is settled
			s := mustOpen(t, Options{Dir: dir, Interrupted: c.decide})
			for i, id := range ids {
				e := mustGet(t, s, id)
				decided := i > 0 && c.decide != nil
				if e.State != c.want[i] || (e.State == Waiting) != e.Ended.IsZero() ||
					decided != (e.Reason == "why") {

					t.Errorf("%s: request %d: %+v", name, i, e)
				}
			}
			test.OK(t, s.Close())
		}
	}
}

// A clock that was set back makes no wait longer.
func TestClockSetBack(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	e := mustPut(t, s, "a", "")
	mustNext(t, s)
	test.OK(t, s.Finish(e.ID, Outcome{State: Waiting, Due: time.Now().Add(time.Minute)}))
	day := (24 * time.Hour).Milliseconds()
	pragma(t, s, "UPDATE request SET due = due + %d, last = last + %d", day, day)
	test.OK(t, s.Close())
	s = mustOpen(t, Options{Dir: dir})
	list, more, err := s.Next("api", 1)
	if wait := time.Until(more); len(list) > 0 || err != nil || wait > time.Minute ||
		wait < -time.Hour {

		t.Errorf("%v, %v: it waits for %v", list, err, wait)
	}
}

// Files that are no longer those that were opened would take requests that no relay sends.
func TestReplacedUnderway(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no open file")
	}
	for _, suffix := range []string{"", "-wal", ".lock"} {
		t.Run("without "+suffix, func(t *testing.T) {
			dir := newDir(t)
			s := mustOpen(t, Options{Dir: dir})
			mustPut(t, s, "a", "")
			path := filepath.Join(dir, file) + suffix
			test.OK(t, os.Rename(path, path+".away"))
			_, err := s.Put(request("a"), nil)
			wantFault(t, err, dir, Meddled)
			test.OK(t, os.Rename(path+".away", path))
			mustPut(t, s, "a", "")
			test.OK(t, os.Remove(path))
			wantFault(t, s.Close(), dir, Meddled)
		})
	}
}

// Either a request is sent or it is withdrawn, never both.
func TestBeginOrWithdraw(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir})
	for i := range 200 {
		e := mustPut(t, s, "a", "")
		mustNext(t, s)
		var begun, withdrawn atomic.Int32
		var group sync.WaitGroup
		group.Go(func() {
			switch err := s.Begin(e.ID, i%2 == 0); {
			case err == nil:
				begun.Add(1)
			case !errors.Is(err, ErrNotFound):
				t.Errorf("begin: %v", err)
			}
		})
		for range 2 {
			group.Go(func() {
				switch err := s.Withdraw(e.ID); {
				case err == nil:
					withdrawn.Add(1)
				case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrBegun):
					t.Errorf("withdraw: %v", err)
				}
			})
		}
		group.Wait()
		if begun.Load()+withdrawn.Load() != 1 {
			t.Fatalf("begun %d times, withdrawn %d times", begun.Load(), withdrawn.Load())
		}
		if begun.Load() > 0 {
			test.OK(t, s.Finish(e.ID, Outcome{State: Delivered}))
		}
	}
	if len(s.taken)+len(s.ending)+s.lines["api"].Len() > 0 {
		t.Errorf("left: %v, %v, %v", s.taken, s.ending, s.lines["api"])
	}
}

// Results are removed when they are old, or too many, and only those; and room is given back.
func TestPrune(t *testing.T) {
	dir := newDir(t)
	s := mustOpen(t, Options{Dir: dir, MaxRequests: 300})
	var entries []Entry
	for i := range 250 {
		e := mustPut(t, s, "a", "")
		mustNext(t, s)
		state := Delivered
		if i%10 == 0 {
			state = Failed
		}
		test.OK(t, s.Finish(e.ID, Outcome{State: state, Answer: new(Answer)}))
		entries = append(entries, mustGet(t, s, e.ID))
	}
	if n, err := s.Prune(entries[0].Ended.Add(-time.Second)); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	s.o.MaxRequests = 200
	if n, err := s.Prune(time.Time{}); n != 25 || err != nil {
		t.Errorf("too many: %d, %v", n, err)
	}
	if n, err := s.Prune(time.Now().Add(time.Second)); n != 200 || err != nil {
		t.Errorf("too old: %d, %v", n, err)
	}
	if st := s.Stats(); st != (Stats{Failed: 25}) {
		t.Errorf("%+v", st)
	}
}

// What the file does not need any more is given back to the disk.
func TestShrink(t *testing.T) {
	const requests = 600
	s := mustOpen(t, Options{Dir: newDir(t)})
	body := strings.Repeat("x", maxInRow)
	var ids []string
	for range requests {
		ids = append(ids, mustPut(t, s, "a", body).ID)
	}
	size := func() (bytes int64) {
		row := s.conn.QueryRowContext(t.Context(), "PRAGMA page_count")
		test.OK(t, row.Scan(&bytes))
		return bytes * dbfile.PageSize
	}
	before := size()
	for _, id := range ids[1:] {
		test.OK(t, s.Withdraw(id))
	}
	_, err := s.Prune(time.Time{})
	test.OK(t, err)
	if after := size(); before < requests*maxInRow || after > spare*dbfile.PageSize {
		t.Errorf("%d bytes, then %d", before, after)
	}
	if mustRead(t, s, ids[0]) != body {
		t.Error("another body is left")
	}
}
