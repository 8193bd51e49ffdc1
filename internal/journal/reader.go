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
)

// Info is a journal's summary.
type Info struct {
	Path           string
	Target, Method string // of the last run
	Command        string // of the last run
	Size           int64  // of all its files together
	Earlier
	Running bool  // a run uses it now
	Err     error // why it could not be read; the fields above Size are then empty
}

// Run is what a journal notes of a run.
type Run struct {
	Started        time.Time
	Finished       time.Time // zero: it goes on, or was killed
	ExitStatus     int
	Target, Method string
	Command        string
	Version        string // of the program
}

// Reader reads a journal, also while a run uses it. It takes no lock and makes no file. Its methods are safe for
// concurrent use; a Reader must be closed.
type Reader struct {
	path string
	db   *sql.DB
	conn *sql.Conn
}

// OpenReader opens a journal for reading. It fails with an [*Error], which is fs.ErrNotExist where there is none.
func OpenReader(path string) (*Reader, error) {
	r, err := openReader(path)
	return r, fault(path, err)
}

func openReader(path string) (r *Reader, err error) {
	defer guard(&err)()
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	head, err := readHeader(real)
	if err != nil {
		return nil, err
	}
	if head.size == 0 {
		return nil, &Error{path, errors.New("is empty: no run has begun"), ""}
	}
	mode := "ro"
	if _, err := os.Stat(real + "-wal"); err != nil && head.wal && !running(real) {
		// The file is whole, but SQLite would make a log beside it.
		mode = "ro&immutable=1"
	}
	ctx := context.Background()
	r = &Reader{path: path}
	if r.db, r.conn, err = openDB(ctx, real, mode); err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, r.conn); err != nil {
		r.db.Close()
		return nil, err
	}
	return r, nil
}

// Close closes the reader.
func (r *Reader) Close() error { return errors.Join(r.conn.Close(), r.db.Close()) }

// Info returns the summary. It reads every row.
func (r *Reader) Info() (Info, error) {
	info, err := r.info()
	return info, fault(r.path, err)
}

func (r *Reader) info() (info Info, err error) {
	defer guard(&err)()
	ctx := context.Background()
	info.Path = r.path
	info.Size, _ = diskSize(r.path)
	info.Running = running(r.path)
	info.Counts = make(map[State]int64)
	rows, err := r.conn.QueryContext(ctx, "SELECT state, count(*) FROM item GROUP BY state")
	if err != nil {
		return info, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var count int64
		if err := rows.Scan(&name, &count); err != nil {
			return info, err
		}
		s, err := ParseState(name)
		if err != nil {
			return info, fmt.Errorf("%w: a row has the state %q", errDamaged, name)
		}
		info.Counts[s] = count
	}
	if err := rows.Err(); err != nil {
		return info, err
	}
	if info.Earlier, err = readRuns(ctx, r.conn, info.Earlier); err != nil {
		return info, err
	}
	if info.Running {
		info.Killed = false
	}
	err = r.conn.QueryRowContext(ctx, "SELECT target, method, command FROM run ORDER BY n DESC LIMIT 1").Scan(&info.Target, &info.Method, &info.Command)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return info, err
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

// fileSuffixes are those of the files that make up a journal; the lock file is not among them.
var fileSuffixes = []string{"", "-wal", "-shm", "-journal"}

// Items yields the rows that have one of the states, or all, in the order in which they were first put. The sequence
// ends after the first error.
func (r *Reader) Items(states ...State) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		stopped := false
		err := r.items(states, func(it Item) bool {
			stopped = !yield(it, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(Item{}, fault(r.path, err))
		}
	}
}

func (r *Reader) items(states []State, yield func(Item) bool) (err error) {
	query := "SELECT " + itemColumns + " FROM item"
	if len(states) > 0 {
		var names []string
		for _, s := range states {
			names = append(names, "'"+s.String()+"'")
		}
		query += " WHERE state IN (" + strings.Join(names, ",") + ")"
	}
	rows, err := r.conn.QueryContext(context.Background(), query+" ORDER BY n")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		it, _, err := scanItem(rows)
		if err != nil {
			return err
		}
		if !yield(it) {
			return nil
		}
	}
	return rows.Err()
}

// Runs returns what is noted of all runs, the first one first.
func (r *Reader) Runs() ([]Run, error) {
	runs, err := r.runs()
	return runs, fault(r.path, err)
}

func (r *Reader) runs() (runs []Run, err error) {
	defer guard(&err)()
	rows, err := r.conn.QueryContext(context.Background(), "SELECT started, finished, exit_status, target, method, command, version FROM run ORDER BY n")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var run Run
		var started int64
		var finished, status sql.NullInt64
		if err := rows.Scan(&started, &finished, &status, &run.Target, &run.Method, &run.Command, &run.Version); err != nil {
			return nil, err
		}
		run.Started = timeOfMillis(started)
		if finished.Valid {
			run.Finished = timeOfMillis(finished.Int64)
		}
		run.ExitStatus = int(status.Int64)
		runs = append(runs, run)
	}
	return runs, rows.Err()
}

// List returns the summaries of all journals in dir, the one used last first. A file that cannot be read is listed
// with Err. Where there is no dir there are no journals.
func List(dir string) ([]Info, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var list []Info
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".db" || e.IsDir() {
			continue
		}
		list = append(list, inspect(filepath.Join(dir, e.Name())))
	}
	slices.SortStableFunc(list, func(a, b Info) int { return b.Last.Compare(a.Last) })
	return list, nil
}

func inspect(path string) Info {
	var info Info
	r, err := OpenReader(path)
	if err == nil {
		info, err = r.Info()
		r.Close()
	}
	if err != nil {
		size, mod := diskSize(path)
		info = Info{Path: path, Size: size, Running: running(path), Err: err}
		info.Last = mod
	}
	return info
}
