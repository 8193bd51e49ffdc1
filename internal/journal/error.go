package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Error says what is wrong with a journal, and what to do. It is a fault of this machine: of its disk, its
// permissions, or the file.
type Error struct {
	Path   string
	Err    error  // what is wrong
	Remedy string // what to do, in half a sentence
}

// Error returns one line: path, fault and remedy.
func (e *Error) Error() string {
	s := "journal " + e.Path + ": " + e.Err.Error()
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// InUseError says that another run, or another part of this program, uses the journal.
type InUseError struct {
	Path  string
	PID   int       // 0 if not known
	Since time.Time // zero if not known
}

// Error returns one line, with the process and since when it runs if that is known.
func (e *InUseError) Error() string {
	s := "journal " + e.Path + " is in use by another run"
	switch {
	case e.PID != 0 && !e.Since.IsZero():
		s += fmt.Sprintf(" (process %d, since %s)", e.PID, e.Since.Local().Format("2006-01-02 15:04:05"))
	case e.PID != 0:
		s += fmt.Sprintf(" (process %d)", e.PID)
	}
	return s
}

// ErrClosed is what is recorded after Close fails with.
var ErrClosed = errors.New("journal: closed")

const (
	remedyMove  = "move it away to begin anew (what it records as delivered is then sent again), or give another --journal FILE"
	remedyWrite = "give --journal FILE, or set PENSTOCK_STATE to a directory that can be written, or go without by --no-journal"
	remedyFull  = "make room, then give the same command again"
	remedyLost  = "give the same command again when it is back"
)

var (
	errDamaged  = errors.New("is damaged")
	errForeign  = errors.New("is not a penstock journal")
	errReplaced = errors.New("was removed or replaced while in use")
)

// fault gives err the path and a remedy.
func fault(path string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	var inUse *InUseError
	if errors.As(err, &known) || errors.As(err, &inUse) {
		return err
	}
	e := &Error{Path: path, Err: err, Remedy: remedyWrite}
	var se *sqlite.Error
	switch {
	case errors.As(err, &se):
		e.Err, e.Remedy = sqliteFault(se)
	case errors.Is(err, errDamaged), errors.Is(err, errForeign):
		e.Remedy = remedyMove
	case errors.Is(err, errReplaced):
		e.Remedy = "do not touch it during a run"
	case errors.Is(err, fs.ErrNotExist):
		e.Remedy = "penstock journal list shows what there is"
	case errors.Is(err, syscall.ENOSPC):
		e.Remedy = remedyFull
	}
	var pe *fs.PathError
	if errors.As(e.Err, &pe) && pe.Path == path {
		e.Err = pe.Err
	}
	return e
}

func sqliteFault(se *sqlite.Error) (error, string) {
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk is full: %w", se), remedyFull
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH:
		return fmt.Errorf("%w: %w", errDamaged, se), remedyMove
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("cannot be written: %w", se), remedyWrite
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("is locked by another program: %w", se), "end that program, then give the same command again"
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("cannot be read or written: %w", se), remedyWrite
	}
	return se, remedyMove
}
