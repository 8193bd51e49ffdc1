package journal

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lockfile"
	"github.com/penstock/penstock/internal/statedir"
)

// Options say which journal to open, and what it notes of the run.
type Options struct {
	// Path is the journal's file. It and its directory are made if they are not there, for the user alone.
	Path string

	// Target, Method and Command are for people to read; the caller redacts them. Command continues the run.
	Target, Method, Command string
	ByResults               bool // the items are selected by results, and not by the journal

	Version string    // of the program
	Started time.Time // start of the run; if zero, now

	// Wait waits until another run that uses the journal has ended, instead of returning an *InUseError.
	Wait bool

	// Warn is told, before Open returns, what does not keep the journal from working. It may be nil.
	Warn func(string)
}

// Earlier is what a journal held before this run.
type Earlier struct {
	Runs   int       // 0: the journal is new
	Last   time.Time // end of the last run; where it was killed, its last change or its start
	Killed bool      // the last run did not end by itself
	Counts Counts
}

// Claim is what the journal has of an item.
type Claim struct {
	State item.Fate // None: it does not have it
	Same  bool      // the fingerprint is the one on record
	Twice bool      // this run has claimed the item before
}

// Journal is an open journal. Its methods are safe for concurrent use.
type Journal struct {
	path         string
	earlier      Earlier
	earlierWaits []Wait
	lock         *lockfile.Lock
	conn         *dbfile.Conn
	run          int64 // this run's row, once there is one; the writer's until stopped

	// What Open has made.
	made             []string // directories, the deepest first
	newLock, newFile bool

	slots   chan struct{} // one for each row that waits
	wake    chan struct{} // tells the writer that there is something to do
	failed  chan struct{} // closed when err is set
	stopped chan struct{} // closed when the writer has ended
	logLost bool          // the write-ahead log was removed; the writer's until stopped
	lost    error         // why rows could not be written in the end; the writer's until stopped
	moved   error         // why what has the journal's names in the end is not ours; the writer's until stopped

	closing sync.Once
	closeBy error

	mu      sync.Mutex // protects what follows; never held during I/O
	index   *index
	next    int64 // n of the next new row
	waiting []entry
	urgent  bool // one of them is waited for
	begun   bool // the run has work to do
	loads   []load
	flushes []chan<- error
	waits   []Wait
	closed  bool
	err     error
}

// Open opens or makes a journal, takes its lock and reads its index into memory, which takes about a second for a
// million rows. It fails with *InUseError, with ctx's error, or with an [*Error].
//
// The run is noted when it begins: when it first claims or puts an item. Its end is noted by [Journal.Close]. A run
// that has not begun leaves no trace.
func Open(ctx context.Context, o Options) (*Journal, error) {
	j, err := open(ctx, o)
	if err != nil {
		return nil, openError(ctx, o.Path, err)
	}
	return j, nil
}

func openError(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("journal %s: %w", path, context.Cause(ctx))
	}
	return fault(path, err)
}

func open(ctx context.Context, o Options) (j *Journal, err error) {
	if o.Path == "" {
		return nil, errors.New("has no name")
	}
	dir := filepath.Dir(o.Path)
	var made []string
	for d := dir; isMissing(d); d = filepath.Dir(d) {
		made = append(made, d)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path, err := lockfile.RealPath(o.Path, fileSuffixes)
	if err != nil {
		return nil, err
	}
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return nil, &Error{o.Path, errors.New("is a directory"), "give a file's name"}
	}
	if _, err := readHeader(path); err != nil { // and make no lock beside what is not ours
		return nil, err
	}
	newLock := isMissing(path + ".lock")
	lock, err := lockfile.Take(ctx, path, o.Wait)
	if err != nil {
		return nil, err
	}
	j = &Journal{
		path:    path,
		lock:    lock,
		made:    made,
		newLock: newLock,
		newFile: isMissing(path),
		slots:   make(chan struct{}, queueSize),
		wake:    make(chan struct{}, 1),
		failed:  make(chan struct{}),
		stopped: make(chan struct{}),
	}
	w, err := j.load(ctx, o)
	if err != nil {
		j.conn.Close()
		lock.Close()
		return nil, err
	}
	go func() {
		defer close(j.stopped)
		w.run()
	}()
	return j, nil
}

func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// load opens the file under the lock and reads it.
func (j *Journal) load(ctx context.Context, o Options) (w *writer, err error) {
	defer dbfile.Guard(&err)()
	head, err := readHeader(j.path)
	if err != nil {
		return nil, err
	}
	// SQLite would make it readable for everybody; its other files take their permissions from this one.
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE|lockfile.OpenFlags, 0o600)
	if err != nil {
		return nil, err
	}
	file, err := f.Stat()
	f.Close()
	if err != nil {
		return nil, err
	}
	j.conn, err = dbfile.Open(ctx, j.path, "rw")
	if err != nil {
		return nil, err
	}
	// A run that was killed while it made the file has left one that SQLite empties now.
	var tables int
	found := version
	if err := j.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return nil, err
	}
	if tables == 0 {
		err = create(ctx, j.conn)
	} else {
		found, err = checkSchema(ctx, j.conn)
	}
	if err != nil {
		return nil, err
	}
	if j.index, j.next, j.earlier.Counts, err = readIndex(ctx, j.conn, found, head.Size); err != nil {
		return nil, err
	}
	if j.earlier, err = readRuns(ctx, j.conn, j.earlier); err != nil {
		return nil, err
	}
	// Nothing was written so far: what is damaged stays as it is.
	if err := migrate(ctx, j.conn, found); err != nil {
		return nil, err
	}
	if err := j.setMode(ctx, o.Warn); err != nil {
		return nil, err
	}
	if j.earlierWaits, err = readWaits(ctx, j.conn, time.Now()); err != nil {
		return nil, err
	}
	if _, err := j.conn.ExecContext(ctx, "PRAGMA synchronous=FULL"); err != nil {
		return nil, err
	}
	if tables == 0 { // a commit that syncs what create did not
		_, err := j.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d; PRAGMA wal_checkpoint(FULL)", version))
		if err != nil {
			return nil, err
		}
	}
	return newWriter(j, o, file)
}

var networkFS = statedir.NetworkFS

// setMode chooses between a write-ahead log and, where the memory that its users share cannot be relied on, a rollback
// journal.
func (j *Journal) setMode(ctx context.Context, warn func(string)) error {
	mode, why := "wal", ""
	if name := networkFS(filepath.Dir(j.path)); name != "" {
		mode, why = "delete", "a network file system ("+name+")"
	}
	var got string
	if err := j.conn.QueryRowContext(ctx, "PRAGMA journal_mode="+mode).Scan(&got); err != nil {
		return err
	}
	if why == "" && got != mode {
		why = "a file system without shared memory"
	}
	if why != "" && warn != nil {
		warn(fmt.Sprintf("journal %s is on %s: it uses a rollback journal, which is slower, and relies on the locks there", j.path, why))
	}
	return nil
}

// readIndex reads all rows' fingerprints and states. Next is the number of the next new row.
func readIndex(ctx context.Context, conn *dbfile.Conn, version int, size int64) (x *index, next int64, counts Counts, err error) {
	var top sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT max(n) FROM item").Scan(&top); err != nil {
		return nil, 0, nil, err
	}
	// Rows may have been removed, and the number may be damaged: no row takes less than 48 bytes.
	x, next = newIndex(min(max(top.Int64, 0), size/48)), 1
	var count [item.Deferred + 1]int64
	err = rawRows(ctx, conn, ofVersion(version, selectIndex), func(row []driver.Value) error {
		n, ok1 := row[0].(int64)
		id, ok2 := row[1].(int64)
		size, ok3 := row[2].(int64)
		mtime, ok4 := row[3].(int64)
		mark, ok5 := row[4].(int64)
		n, s := n>>3, item.Fate(n&7)
		if !ok1 || !ok2 || !ok3 || !ok5 || !ok4 && row[3] != nil || n < next || n > maxRow || s == item.None || s > item.Deferred {
			return fmt.Errorf("%w: row after %d", errDamaged, next-1)
		}
		next = n + 1
		e := x.put(uint64(id))
		count[e.state()]-- // None, unless the same item was there before
		count[s]++
		e.setRow(n, printOf(size, mtime, ok4, uint64(mark)), s)
		return nil
	})
	counts = make(Counts)
	for s, n := range count {
		if n > 0 {
			counts[item.Fate(s)] = n
		}
	}
	return x, next, counts, err
}

// rawRows calls do for each row without what database/sql spends on it, which is most of the time for a million rows.
func rawRows(ctx context.Context, conn *dbfile.Conn, query string, do func([]driver.Value) error) error {
	return conn.Raw(func(c any) error {
		rows, err := c.(driver.QueryerContext).QueryContext(ctx, query, nil)
		if err != nil {
			return err
		}
		defer rows.Close()
		row := make([]driver.Value, len(rows.Columns()))
		for i := 1; ; i++ {
			if err := rows.Next(row); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := do(row); err != nil {
				return err
			}
			if i%1024 == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	})
}

// readRuns adds to e what the journal notes of its runs.
func readRuns(ctx context.Context, conn *dbfile.Conn, e Earlier) (Earlier, error) {
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM run").Scan(&e.Runs); err != nil || e.Runs == 0 {
		return e, err
	}
	var started int64
	var finished, last sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT started, finished FROM run ORDER BY n DESC LIMIT 1").Scan(&started, &finished); err != nil {
		return e, err
	}
	if finished.Valid {
		e.Last = timeOfMillis(finished.Int64)
		return e, nil
	}
	e.Killed = true
	if err := conn.QueryRowContext(ctx, "SELECT max(last) FROM item").Scan(&last); err != nil {
		return e, err
	}
	e.Last = timeOfMillis(max(started, last.Int64))
	return e, nil
}

// Path returns the file's name, with links followed.
func (j *Journal) Path() string { return j.path }

// Earlier returns what the journal held when it was opened. The map is the caller's to read.
func (j *Journal) Earlier() Earlier { return j.earlier }

// Claim looks an item up and marks it as taken up by this run. It tells what was last put, also if that is not on
// disk yet, and does no I/O.
func (j *Journal) Claim(id uint64, f Fingerprint) Claim {
	print := f.print()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.beginLocked()
	return j.index.claim(id, print)
}

// Peek is Claim without the mark.
func (j *Journal) Peek(id uint64, f Fingerprint) Claim {
	print := f.print()
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.index.get(id)
	if e == nil {
		return Claim{}
	}
	return e.claim(print)
}

// beginLocked has the run noted.
func (j *Journal) beginLocked() {
	if !j.begun {
		j.begun = true
		j.poke()
	}
}

func (e *indexEntry) claim(print uint64) Claim {
	s := e.state()
	return Claim{State: s, Same: s != item.None && e.print == print, Twice: e.claimed()}
}

// Load returns the whole row of an item, from the disk, after what was put before is there. The error is
// fs.ErrNotExist where there is none.
func (j *Journal) Load(id uint64) (Item, error) {
	answer := make(chan loaded, 1)
	j.mu.Lock()
	e := j.index.get(id)
	switch {
	case j.closed:
		j.mu.Unlock()
		return Item{}, ErrClosed
	case e == nil || e.state() == item.None:
		j.mu.Unlock()
		return Item{}, fmt.Errorf("journal %s: item %016x: %w", j.path, id, fs.ErrNotExist)
	}
	j.loads = append(j.loads, load{e.n(), answer})
	j.mu.Unlock()
	j.poke()
	l := <-answer
	return l.item, fault(j.path, l.err)
}

// Put records an item soon, at once if it was in flight. It returns at once unless 256 rows wait for their commit.
//
// After the commit that holds the row, done is called, or with an error where there is none and will be none: see
// [Journal.Flush]. It is called by the writer, in the order of Put, one call at a time; it must not call Put, Begin,
// Load, Flush or Close. It may be nil.
//
// The row replaces the one before. Only a nil Digest leaves the one on record, if the fingerprint is the same.
func (j *Journal) Put(it Item, done func(error)) {
	select {
	case j.slots <- struct{}{}:
	case <-j.failed:
	}
	if err := j.enqueue(it, false, done); err != nil && done != nil {
		done(err)
	}
}

// Begin records an item as in flight, whatever its state, and returns when that is on disk. If it fails nothing of
// the item may be sent. Ctx ends the wait for a place in the queue; a commit that is under way is waited for.
func (j *Journal) Begin(ctx context.Context, it Item) error {
	select {
	case j.slots <- struct{}{}:
	case <-j.failed:
		return j.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	it.State = item.InFlight
	written := make(chan error, 1)
	if err := j.enqueue(it, true, func(err error) { written <- err }); err != nil {
		return err
	}
	return <-written
}

func (j *Journal) enqueue(it Item, begin bool, done func(error)) error {
	if it.State == item.None || it.State > item.Deferred {
		it.State = item.Unknown // the state that claims nothing
	}
	if it.Last.IsZero() {
		it.Last = time.Now()
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		select {
		case <-j.slots:
		default:
		}
		return ErrClosed
	}
	j.beginLocked()
	x := j.index.put(it.ID)
	n := x.n()
	if n == 0 {
		n = j.next
		j.next++
	}
	// What became of an item that was begun: a kill meanwhile would leave it in doubt.
	urgent := begin || x.state() == item.InFlight
	x.setRow(n, it.print(), it.State)
	j.waiting = append(j.waiting, entry{it, n, begin, done})
	j.urgent = j.urgent || urgent
	wake := urgent || len(j.waiting) == 1 || len(j.waiting) == crowd
	j.mu.Unlock()
	if wake {
		j.poke()
	}
	return nil
}

func (j *Journal) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Err returns why rows could not be written, or nil. Once it is not nil the run should end.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Failed is closed when Err is no longer nil. From then on Put does not block, and Begin fails.
func (j *Journal) Failed() <-chan struct{} { return j.failed }

func (j *Journal) fail(err error) {
	j.mu.Lock()
	j.err = err
	j.mu.Unlock()
	close(j.failed)
}

// Flush returns when all that was put before is on disk and done was called for it. On a journal that has failed it
// tries once more what could not be written, and calls done with the error where that fails again; such rows are then
// given up.
func (j *Journal) Flush() error {
	answer := make(chan error, 1)
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	j.flushes = append(j.flushes, answer)
	j.mu.Unlock()
	j.poke()
	return <-answer
}

// Close does what Flush does, notes the run's end and gives up the lock. It returns an error if any row was given up,
// or if the journal's files are no longer where they were. If the run has not begun, Close leaves no trace of it.
// A second Close returns what the first did.
func (j *Journal) Close(exitStatus int) error {
	j.closing.Do(func() { j.closeBy = j.close(exitStatus) })
	return j.closeBy
}

// discard closes the journal of a run that has not begun.
func (j *Journal) discard() error {
	if j.moved != nil {
		return cmp.Or(fault(j.path, j.abandon()), j.lock.Close())
	}
	err := fault(j.path, j.closeFile())
	if j.newFile {
		for _, suffix := range fileSuffixes {
			os.Remove(j.path + suffix)
		}
	}
	if j.newLock {
		err = cmp.Or(err, j.lock.Remove())
	} else {
		err = cmp.Or(err, j.lock.Close())
	}
	for _, dir := range j.made { // unless somebody else uses them already
		os.Remove(dir)
	}
	return err
}

// stop ends the writer.
func (j *Journal) stop() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.poke()
	<-j.stopped
}

func (j *Journal) close(exitStatus int) error {
	j.stop()
	if !j.begun {
		return j.discard()
	}
	err := fault(j.path, j.end(exitStatus))
	return cmp.Or(j.lost, fault(j.path, j.moved), err, j.lock.Close())
}

// end notes the run's end and closes the file.
func (j *Journal) end(exitStatus int) (err error) {
	defer dbfile.Guard(&err)()
	if j.moved != nil {
		return j.abandon()
	}
	ctx := context.Background()
	_, err = j.conn.ExecContext(ctx, "UPDATE run SET finished = ?, exit_status = ? WHERE n = ?", time.Now().UnixMilli(), exitStatus, j.run)
	return cmp.Or(err, j.closeFile())
}

func (j *Journal) closeFile() (err error) {
	defer dbfile.Guard(&err)()
	// A file that is not in WAL mode can be read without making others beside it. This fails, and does not matter,
	// while somebody reads.
	j.conn.ExecContext(context.Background(), "PRAGMA busy_timeout=0; PRAGMA journal_mode=DELETE")
	return j.conn.Close()
}

// abandon closes the file where what has the journal's names now may be another run's.
func (j *Journal) abandon() error {
	if j.logLost && j.lock.Removed() {
		// Another run may have begun, and ended, with a log of its own. To close the connection would write what
		// our log has over that, so it is left to the end of the process.
		return nil
	}
	return j.conn.Close()
}
