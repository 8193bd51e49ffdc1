package outbox

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/lockfile"
	"github.com/penstock/penstock/internal/statedir"
	"github.com/penstock/penstock/internal/turns"
)

// Options say which store to open, and what it may hold.
type Options struct {
	// Dir is the store's directory. It is made if it is not there, for the user alone.
	Dir string

	// MaxRequests is how many requests that were not delivered the store may have; if zero, a
	// million. Prune keeps as many results of those that were.
	MaxRequests int64
	// MaxBytes bounds the bodies of requests that were not delivered; if zero, 4 GiB. It also
	// bounds those of answers, of which less is kept then.
	MaxBytes int64

	// InOrder has a client's next request wait until the one before was delivered. One that has
	// failed or is unknown holds up those behind it until it is requeued or dropped.
	InOrder bool

	// Interrupted decides what a request becomes that Begin has noted, and of which nothing more is
	// known since the program ended meanwhile: Waiting, Failed or Unknown, with the reason. If nil,
	// it is Unknown.
	Interrupted func(Entry) (State, string)

	// Warn is called, before Open returns, with what does not keep the store from working. It may
	// be nil.
	Warn func(string)
}

// A Store is an open store. Its methods are safe for concurrent use.
type Store struct {
	o      Options
	dir    string
	path   string // of the SQLite file
	lock   *lockfile.Lock
	conn   *dbfile.Conn // the writer's
	files  dbfile.Files // as they were when they were opened
	reader *Reader

	minFree int64         // minFree, but for tests
	wake    chan struct{} // wakes the writer
	stopped chan struct{} // closed when the writer has ended
	lost    error         // why something could not be written in the end; the writer's until then
	closing sync.Once
	closeBy error

	mu     sync.Mutex // protects what follows; never held during I/O
	queue  []*op
	closed bool
	err    error
	next   int64           // number of the next request
	coming int64           // requests that are being put
	counts map[State]int64 // none of Sending: those count as Waiting
	bytes  int64           // of bodies that are stored or being put
	kept   int64           // bytes of the bodies of answers
	lines  map[string]*turns.Line
	taken  map[int64]*taken
	ending map[int64]int // how many calls are about to remove it
}

// taken is a request that Next has returned.
type taken struct {
	turns.Waiter
	line  *turns.Line
	begun time.Time // if zero, it was not
}

// Open opens or makes a store and takes its lock. It reads each row once, which takes about a
// second for a million. It fails with an [*Error], or with ctx's error.
func Open(ctx context.Context, o Options) (*Store, error) {
	o.MaxRequests = cmp.Or(o.MaxRequests, 1_000_000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 4<<30)
	s := &Store{
		o:       o,
		dir:     o.Dir,
		minFree: minFree,
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		next:    1,
		counts:  make(map[State]int64),
		lines:   make(map[string]*turns.Line),
		taken:   make(map[int64]*taken),
		ending:  make(map[int64]int),
	}
	if err := s.open(ctx); err != nil {
		s.release()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("store %s: %w", o.Dir, context.Cause(ctx))
		}
		return nil, fault(o.Dir, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	defer dbfile.Guard(&err)()
	if err := os.MkdirAll(filepath.Join(s.dir, bodies), 0o700); err != nil {
		return err
	}
	if s.path, err = lockfile.RealPath(filepath.Join(s.dir, file), suffixes); err != nil {
		return err
	}
	s.dir = filepath.Dir(s.path)
	if _, err := readHeader(s.path); err != nil { // and make no lock beside what is not ours
		return err
	}
	if s.lock, err = lockfile.Take(ctx, s.path, false); err != nil {
		return err
	}
	if _, err := readHeader(s.path); err != nil {
		return err
	}
	// SQLite would make it readable for all users; its other files take their permissions from this
	// one.
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|lockfile.OpenFlags, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	if s.conn, err = dbfile.Open(ctx, s.path, "rw"); err != nil {
		return err
	}
	// A relay that was killed while it made the file has left one that SQLite empties now.
	var tables int
	row := s.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema")
	if err := row.Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		err = create(ctx, s.conn)
	} else {
		err = checkSchema(ctx, s.conn)
	}
	if err != nil {
		return err
	}
	interrupted, err := s.load(ctx)
	if err != nil {
		return err
	}
	// Nothing was written so far: what is damaged stays as it is.
	if err := s.setMode(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx, interrupted); err != nil {
		return err
	}
	if s.reader, err = openReader(ctx, s.path, "ro"); err != nil {
		return err
	}
	if err := s.removeOrphans(); err != nil {
		return err
	}
	if err := syncDir(s.dir); err != nil {
		return err
	}
	if s.files, err = dbfile.FilesOf(s.path); err != nil {
		return err
	}
	w, err := newWriter(s)
	if err != nil {
		return err
	}
	go func() {
		defer close(s.stopped)
		w.run()
	}()
	return nil
}

// setMode chooses between a write-ahead log and, where the memory that its users share cannot be
// relied on, a rollback journal. The log may grow to 16 MiB: what it holds is written a second time
// at each of its ends.
func (s *Store) setMode(ctx context.Context) error {
	mode, why := "wal", ""
	if name := statedir.NetworkFS(s.dir); name != "" {
		mode, why = "delete", "a network file system ("+name+")"
	}
	var got string
	if err := s.conn.QueryRowContext(ctx, "PRAGMA journal_mode="+mode).Scan(&got); err != nil {
		return err
	}
	if why == "" && got != mode {
		why = "a file system without shared memory"
	}
	if why != "" && s.o.Warn != nil {
		s.o.Warn(fmt.Sprintf("store %s is on %s: it uses a rollback journal, which is slower, "+
			"and relies on the locks there", s.dir, why))
	}
	_, err := s.conn.ExecContext(ctx, "PRAGMA wal_autocheckpoint=4000; PRAGMA secure_delete=FAST")
	return err
}

// load reads what the store has, and returns what was being sent.
func (s *Store) load(ctx context.Context) (interrupted []Entry, err error) {
	now := time.Now()
	names := make(map[string]string) // each name is kept once
	name := func(s string) string {
		if _, ok := names[s]; !ok {
			names[s] = s
		}
		return names[s]
	}
	err = each(ctx, s.conn, func(scan scanFunc) error {
		e, err := scanEntry(scan)
		if err != nil {
			return err
		}
		s.next = e.Seq + 1
		e.Client, e.Target = name(e.Client), name(e.Target)
		if e.State == Sending {
			interrupted = append(interrupted, e)
			return nil
		}
		// A clock that was set back makes no wait longer.
		if e.last.After(now) && !e.Due.IsZero() {
			e.Due = now.Add(e.Due.Sub(e.last))
		}
		s.addLocked(e)
		return nil
	}, selectEntry+" ORDER BY seq")
	return interrupted, err
}

// settle decides what becomes of what was being sent.
func (s *Store) settle(ctx context.Context, interrupted []Entry) error {
	now := time.Now()
	for _, e := range interrupted {
		was := e
		e.State, e.Due, e.Ended = Unknown, time.Time{}, now
		if s.o.Interrupted != nil {
			e.State, e.Reason = s.o.Interrupted(was)
		}
		if e.State == Waiting {
			e.Ended = time.Time{}
		}
		if _, err := s.conn.ExecContext(ctx, `UPDATE request SET state = ?, reason = ?, ended = ?,
			due = 0 WHERE seq = ?`, e.State, e.Reason, millis(e.Ended), e.Seq); err != nil {
			return err
		}
		s.addLocked(e)
	}
	return nil
}

func (s *Store) lineLocked(target string) *turns.Line {
	l := s.lines[target]
	if l == nil {
		l = &turns.Line{InOrder: s.o.InOrder}
		s.lines[target] = l
	}
	return l
}

// Close ends the writer after what was asked of it, and gives up the lock. What Put returned for is
// on disk already. The error says what is wrong with the files, and why what Finish was told could
// not be written. A second Close returns what the first did.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.poke()
		<-s.stopped
		s.closeBy = fault(s.dir, cmp.Or(s.lost, s.release()))
	})
	return s.closeBy
}

// release closes the files and gives up the lock.
func (s *Store) release() (err error) {
	defer dbfile.Guard(&err)()
	err = s.reader.Close()
	if s.conn != nil {
		err = cmp.Or(err, s.closeFile())
	}
	if s.lock != nil {
		err = cmp.Or(err, s.lock.Close())
	}
	return err
}

func (s *Store) closeFile() error {
	err := s.intact()
	switch {
	case err == nil:
		// A file that is not in WAL mode can be read without making others beside it. This fails,
		// and does not matter, while somebody reads.
		s.conn.ExecContext(context.Background(),
			"PRAGMA busy_timeout=0; PRAGMA journal_mode=DELETE")
	case s.files.LogLost() && s.lock.Removed():
		// Another relay may have begun, and ended, with a log of its own. To close the connection
		// would write what our log has over that, so it is left to the end of the process.
		return err
	}
	return cmp.Or(err, s.conn.Close())
}

// intact fails if one of the store's files was removed or replaced. SQLite would go on writing to
// files that have no names any more, and without the lock another relay may begin.
func (s *Store) intact() error {
	err := s.files.Intact()
	if err == nil && s.lock.Removed() {
		err = fmt.Errorf("%w: its lock %s", errReplaced, s.lock.Path())
	}
	return err
}

// Err returns why nothing new can be stored now, an [*Error]; nil once something could be written,
// and the disk has room.
func (s *Store) Err() error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	return cmp.Or(err, s.room())
}
