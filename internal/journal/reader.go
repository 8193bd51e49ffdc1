package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lockfile"
	"github.com/penstock/penstock/internal/statedir"
)

// Info is a journal's summary.
type Info struct {
	Path string

	// What the last run notes of itself; ByResults: it selected its items by results.
	Target, Method, Command string
	ByResults               bool

	Size int64 // of all its files together
	Earlier
	Running bool   // a run uses it now
	Shards  Shards // of which it has all that was done; none: of the whole

	// Err is why it could not be read. Then only Path, Size, Running and Last (the file's time) are
	// set.
	Err error
}

// Reader reads a journal, also while a run uses it. It takes no lock, and makes no file where there
// was none. A Reader is for one goroutine and must be closed.
type Reader struct {
	path string // as given
	real string // with links followed
	conn *dbfile.Conn

	version int // of the schema
}

// OpenReader opens a journal for reading. It fails with an [*Error], which is fs.ErrNotExist where
// there is none.
func OpenReader(path string) (*Reader, error) {
	r := &Reader{path: path}
	if err := r.open(); err != nil {
		r.Close()
		return nil, readFault(path, err)
	}
	return r, nil
}

func (r *Reader) open() (err error) {
	defer dbfile.Guard(&err)()
	if r.real, err = filepath.EvalSymlinks(r.path); err != nil {
		return err
	}
	head, err := readHeader(r.real)
	if err != nil {
		return err
	}
	if head.Size == 0 {
		return &Error{r.path, errors.New("is empty"), Unused}
	}
	mode := "ro"
	_, noWAL := os.Stat(r.real + "-wal")
	if noWAL != nil && head.WAL && !lockfile.Held(r.real) {
		// The file is whole, but SQLite would make a log beside it, or fail where it cannot.
		mode = "ro&immutable=1"
	}
	err = r.connect(mode)
	var se *sqlite.Error
	if errors.As(err, &se) && se.Code() == sqlite3.SQLITE_READONLY_ROLLBACK {
		// A commit was broken off, and what it left has to be taken back.
		err = r.connect("rw")
	}
	if errors.As(err, &se) && noWAL == nil {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
			err := fmt.Errorf("was left by a run that was killed, and cannot be read where its "+
				"directory cannot be written: %w", se)
			return &Error{r.path, err, CopyWithLog}
		}
	}
	return err
}

func (r *Reader) connect(mode string) (err error) {
	r.conn.Close()
	ctx := context.Background()
	if r.conn, err = dbfile.Open(ctx, r.real, mode); err != nil {
		return err
	}
	r.version, err = checkSchema(ctx, r.conn)
	return err
}

// Close closes the reader.
func (r *Reader) Close() error { return readFault(r.path, r.conn.Close()) }

// fault is readFault for what a method returns that defers it.
func (r *Reader) fault(err *error) { *err = readFault(r.path, *err) }

// Info returns the summary. It reads every row.
func (r *Reader) Info() (info Info, err error) {
	defer r.fault(&err)
	defer dbfile.Guard(&err)()
	ctx := context.Background()
	size, _ := diskSize(r.real) // before reading makes a file
	if info, err = readRuns(ctx, r.conn, r.version); err != nil {
		return info, err
	}
	info.Path, info.Size = r.path, size
	info.Running = lockfile.Held(r.real)
	info.Killed = info.Killed && !info.Running
	all, err := readShards(ctx, r.conn, r.version)
	if err != nil {
		return info, err
	}
	info.Shards = all.incomplete()
	info.Counts = make(Counts)
	err = each(ctx, r.conn, func(scan scanFunc) error {
		var name string
		var count int64
		if err := scan(&name, &count); err != nil {
			return err
		}
		s := stateOf(name)
		if s == item.None {
			return fmt.Errorf("%w: a row has the state %q", errDamaged, name)
		}
		info.Counts[s] = count
		return nil
	}, "SELECT state, count(*) FROM item GROUP BY state")
	return info, err
}

// Receipts says of how many delivered items something was captured, and when the last item was
// delivered; the zero time if none was.
type Receipts struct {
	Items int64
	Last  time.Time
}

// Receipts reads every row.
func (r *Reader) Receipts() (s Receipts, err error) {
	defer r.fault(&err)
	defer dbfile.Guard(&err)()
	var last sql.NullInt64
	query := ofVersion(r.version, "SELECT count(nullif(captured, '{}')), max(last) FROM item "+
		"WHERE state = 'delivered'")
	err = r.conn.QueryRowContext(context.Background(), query).Scan(&s.Items, &last)
	if last.Valid {
		s.Last = time.UnixMilli(last.Int64)
	}
	return s, err
}

func diskSize(path string) (size int64, mod time.Time) {
	for _, suffix := range fileSuffixes {
		if fi, err := os.Stat(path + suffix); err == nil {
			size += fi.Size()
			if fi.ModTime().After(mod) {
				mod = fi.ModTime()
			}
		}
	}
	return size, mod
}

// fileSuffixes are those of the files that make up a journal; the lock is not among them.
var fileSuffixes = []string{"", "-wal", "-shm", "-journal"}

// Files are the names that a journal at path has on disk while it is open. Of no path there are
// none.
func Files(path string) (names []string) {
	if path == "" {
		return nil
	}
	for _, suffix := range append(fileSuffixes, lockfile.Suffix) {
		names = append(names, path+suffix)
	}
	return names
}

// Items yields the rows that only chooses, in the order in which they were first put. The sequence
// ends after the first error.
//
// It reads a page at a time: a slow consumer does not hold up a run, and a row that changes
// meanwhile comes in the one way or the other.
func (r *Reader) Items(only item.Fates) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for after := int64(0); ; {
			page, last, err := r.page(after, only)
			for _, it := range page {
				if !yield(it, nil) {
					return
				}
			}
			if err != nil {
				yield(Item{}, readFault(r.path, err))
			}
			if err != nil || len(page) < pageSize {
				return
			}
			after = last
		}
	}
}

const pageSize = 500 // rows

// page returns the rows after that one, and the number of the last one. It returns rows beside an
// error.
func (r *Reader) page(after int64, only item.Fates) (page []Item, last int64, err error) {
	defer dbfile.Guard(&err)()
	query := ofVersion(r.version, selectItems) + " WHERE n > ?"
	args := []any{after}
	if states := only.List(); states != nil {
		for _, s := range states {
			args = append(args, s.String())
		}
		query += " AND state IN (?" + strings.Repeat(",?", len(states)-1) + ")"
	}
	query = fmt.Sprintf("%s ORDER BY n LIMIT %d", query, pageSize)
	err = each(context.Background(), r.conn, func(scan scanFunc) error {
		it, n, err := scanItem(scan)
		if err == nil && n <= max(last, after) {
			err = fmt.Errorf("%w: row %d is out of order", errDamaged, n)
		}
		if err == nil {
			page, last = append(page, it), n
		}
		return err
	}, query, args...)
	return page, last, err
}

// List returns the summaries of all journals in dir, the one used last first. A file that cannot be
// read is listed with Err. Where there is no dir there are no journals.
func List(dir string) ([]Info, error) {
	names, err := statedir.Names(dir)
	if err != nil {
		return nil, err
	}
	var list []Info
	for _, name := range names {
		list = append(list, inspect(filepath.Join(dir, name+statedir.Suffix)))
	}
	slices.SortStableFunc(list, func(a, b Info) int { return b.Last.Compare(a.Last) })
	return list, nil
}

func inspect(path string) Info {
	r, err := OpenReader(path)
	if err == nil {
		var info Info
		info, err = r.Info()
		r.Close()
		if err == nil {
			return info
		}
	}
	info := Info{Path: path, Err: err}
	info.Size, info.Last = diskSize(path)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		info.Running = lockfile.Held(real)
	}
	return info
}
