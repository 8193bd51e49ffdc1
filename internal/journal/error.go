package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/lockfile"
)

// Error says what is wrong with a journal, and what to do. It is a fault of this machine: of its
// disk, its permissions, or the file.
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
type InUseError = lockfile.InUseError

// ErrClosed is what is recorded after Close fails with.
var ErrClosed = errors.New("journal: closed")

const (
	remedyMove = "move it away to begin anew (what it records as delivered is then sent again), " +
		"or give another --journal FILE"
	remedyWrite = "give --journal FILE, or set PENSTOCK_STATE to a directory that can be written, " +
		"or go without by --no-journal"
	remedyFull = "make room, then give the same command again"
)

var (
	errDamaged  = dbfile.ErrDamaged
	errNewer    = errors.New("was written by a newer penstock")
	errReplaced = errors.New("was removed or replaced while in use")
)

// fault gives err the path and the remedy for a run that writes its journal.
func fault(path string, err error) error {
	return faultFor(path, err, remedyWrite)
}

// readFault is fault for a journal that is only read.
func readFault(path string, err error) error {
	return faultFor(path, err, "")
}

func faultFor(path string, err error, remedy string) error {
	var known *Error
	var inUse *InUseError
	if err == nil || errors.As(err, &known) || errors.As(err, &inUse) {
		return err
	}
	e := &Error{Path: path, Err: err, Remedy: remedy}
	var se *sqlite.Error
	var pe *fs.PathError
	switch {
	case errors.As(err, &se):
		e.sqlite(se)
	case errors.Is(err, errDamaged), errors.Is(err, dbfile.ErrForeign):
		e.Remedy = remedyMove
	case errors.Is(err, dbfile.ErrLogOnly):
		e.Remedy = "put the file back, or remove that one too to begin anew"
	case errors.Is(err, errNewer):
		e.Remedy = "use that one, or another --journal FILE"
	case errors.Is(err, lockfile.ErrStranger):
		e.Remedy = "remove it if you do not know it, and set PENSTOCK_STATE to a directory " +
			"that only you can write"
	case errors.Is(err, errReplaced):
		e.Remedy = "let no other program touch it during a run"
	case errors.Is(err, syscall.ENOSPC):
		e.Remedy = remedyFull
	case errors.As(err, &pe) && pe.Path == path:
		e.Err = pe.Err
	}
	return e
}

func (e *Error) sqlite(se *sqlite.Error) {
	say := func(what, remedy string) {
		e.Err, e.Remedy = fmt.Errorf("%s (SQLite: %w)", what, se), remedy
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		say("the disk is full", remedyFull)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		say("cannot be written", e.Remedy)
	case sqlite3.SQLITE_IOERR:
		say("cannot be read or written",
			"look after the disk and its quota, or give another --journal FILE")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		say("is locked by another program", "end that one, then give the same command again")
	case sqlite3.SQLITE_NOMEM:
		say("needs more memory than there is", "")
	default:
		e.Err, e.Remedy = fmt.Errorf("%w (SQLite: %w)", errDamaged, se), remedyMove
	}
}
