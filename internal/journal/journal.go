package journal

import (
	"context"
	"errors"
	"fmt"
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
	// Path is the journal's file. It and its directory are made if they are not there, for the user
	// alone.
	Path string

	// Target, Method and Command are for people to read; the caller redacts them. Command continues
	// the run.
	Target, Method, Command string
	ByResults               bool // the items are selected by results, and not by the journal

	Version string    // of the program
	Started time.Time // start of the run; if zero, now

	Shard    item.Shard // that the run is for
	anyShard bool       // it is no run

	// Wait waits until another run that uses the journal has ended, instead of returning an
	// *InUseError.
	Wait bool

	// Warn is called, before Open returns, with what does not keep the journal from working. It may
	// be nil.
	Warn func(string)
}

// Earlier is what a journal held before this run.
type Earlier struct {
	Runs   int       // 0: the journal is new
	Last   time.Time // end of the last run; where it was killed, its last change or its start
	Killed bool      // the last run did not end by itself
	Counts Counts
}

// A past is what a journal held when it was opened.
type past struct {
	index   index
	next    int64 // n of the next new row
	earlier Earlier
	waits   []Wait
	shards  Shards
}

// read fills in what a file of that size, and that version of the schema, holds; but not the waits.
func (p *past) read(ctx context.Context, conn *dbfile.Conn, version int, size int64) error {
	var counts Counts
	var err error
	if p.index, p.next, counts, err = readIndex(ctx, conn, version, size); err != nil {
		return err
	}
	info, err := readRuns(ctx, conn, version)
	if err != nil {
		return err
	}
	p.earlier, p.earlier.Counts = info.Earlier, counts
	p.shards, err = readShards(ctx, conn, version)
	return err
}

// Earlier returns what the journal held when it was opened. The map is the caller's to read.
func (p *past) Earlier() Earlier { return p.earlier }

// Waits returns the waits of earlier runs that were not over when the journal was opened. If the
// clock was set back since, a wait is still no longer than the server asked for.
func (p *past) Waits() []Wait { return p.waits }

// Claim is what the journal has of an item.
type Claim struct {
	State item.Fate // None: it does not have it
	Same  bool      // the fingerprint is the one on record
	Twice bool      // this run has claimed the item before

	Receipt bool // it has something captured
}

// Journal is an open journal. Its methods are safe for concurrent use.
type Journal struct {
	past  // its index is protected by mu
	path  string
	lock  *lockfile.Lock
	conn  *dbfile.Conn
	files dbfile.Files
	run   int64 // this run's row, once there is one; the writer's until stopped

	// What Open has made.
	made             []string // directories, the deepest first
	newLock, newFile bool

	slots   chan struct{} // one for each row that waits
	wake    chan struct{} // wakes the writer when there is something to do
	failed  chan struct{} // closed when err is set
	stopped chan struct{} // closed when the writer has ended
	lost    error         // why rows could not be written in the end; the writer's until stopped
	moved   error         // why the files are not ours in the end; the writer's until stopped

	closing sync.Once
	closeBy error

	mu      sync.Mutex // protects what follows; never held during I/O
	waiting []entry
	urgent  bool // one of them is waited for
	begun   bool // the run has work to do
	asks    []func(*writer)
	keep    []Wait
	closed  bool
	err     error
}

// Open opens or makes a journal, takes its lock and reads its index into memory, which takes about
// a second for a million rows. It fails with *InUseError, a [*ShardError], ctx's error, or an
// [*Error].
//
// The run is noted when it begins: when it first claims or puts an item, or by [Journal.Enter]. Its
// end is noted by [Journal.Close]. A run that has not begun leaves no trace.
func Open(ctx context.Context, o Options) (*Journal, error) {
	j, err := open(ctx, o)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("journal %s: %w", o.Path, context.Cause(ctx))
	}
	return j, fault(o.Path, err)
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
		return nil, &Error{o.Path, errors.New("is a directory"), NameFile}
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
	// SQLite would make it readable for all users; its other files take their permissions from this
	// one.
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE|lockfile.OpenFlags, 0o600)
	if err != nil {
		return nil, err
	}
	f.Close()
	j.conn, err = dbfile.Open(ctx, j.path, "rw")
	if err != nil {
		return nil, err
	}
	// A run that was killed while it made the file has left one that SQLite empties now.
	var tables int
	found := version
	row := j.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema")
	if err := row.Scan(&tables); err != nil {
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
	if err := j.past.read(ctx, j.conn, found, head.Size); err != nil {
		return nil, err
	}
	if !o.anyShard {
		if err := j.shards.check(o.Path, o.Shard); err != nil {
			return nil, err
		}
	}
	// Nothing was written so far: what is damaged stays as it is.
	if err := migrate(ctx, j.conn, found); err != nil {
		return nil, err
	}
	if err := j.setMode(ctx, o.Warn); err != nil {
		return nil, err
	}
	// This read opens the log while its directory can still be written.
	if j.waits, err = readWaits(ctx, j.conn, version); err != nil {
		return nil, err
	}
	if _, err := j.conn.ExecContext(ctx, "PRAGMA synchronous=FULL"); err != nil {
		return nil, err
	}
	if tables == 0 { // a commit that syncs what create did not
		query := fmt.Sprintf("PRAGMA user_version=%d; PRAGMA wal_checkpoint(FULL)", version)
		if _, err := j.conn.ExecContext(ctx, query); err != nil {
			return nil, err
		}
	}
	if j.files, err = dbfile.FilesOf(j.path); err != nil {
		return nil, err
	}
	return newWriter(j, o)
}

var networkFS = statedir.NetworkFS

// setMode chooses between a write-ahead log and, where the memory that its users share cannot be
// relied on, a rollback journal.
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
		warn(fmt.Sprintf("journal %s is on %s: it uses a rollback journal, which is slower, "+
			"and relies on the locks there", j.path, why))
	}
	return nil
}

// Path returns the file's name, with links followed.
func (j *Journal) Path() string { return j.path }
