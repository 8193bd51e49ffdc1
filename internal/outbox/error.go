package outbox

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

// What a store says of a request.
var (
	// ErrFull says that the store has as many requests, or as many bytes, as it may have.
	ErrFull = errors.New("the store is full")
	// ErrNotFound says that there is no request of that ID, or none any more.
	ErrNotFound = errors.New("no such request")
	// ErrBegun says that a request is being sent, or was.
	ErrBegun = errors.New("the request is being sent, or was")
	// ErrNotEnded says that a request is still pending.
	ErrNotEnded = errors.New("the request waits or is being sent: DELETE of its URL withdraws it " +
		"while it waits")
	// ErrDelivered says that a request was delivered, so that its body is gone.
	ErrDelivered = errors.New("the request was delivered")
	// ErrChanged says that a stored request is not what was put.
	ErrChanged = errors.New("what was stored of it was changed")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// A Fault is the kind of an [Error].
type Fault int

// The faults.
const (
	Other     Fault = iota
	Full            // no room on the disk
	Unwritten       // the disk, the directory or a file cannot be written
	Damaged         // the store's file is damaged
	Foreign         // the file is none of a store's
	Newer           // the file was written by a newer penstock
	InUse           // another process uses the store; see [lockfile.InUseError]
	Meddled         // another program has touched, replaced or locked the file
)

// An Error is a fault of this machine: of its disk, of permissions, or of the store's files.
type Error struct {
	Path  string
	Err   error // what is wrong
	Fault Fault
}

// Error returns one line: path and fault.
func (e *Error) Error() string { return "store " + e.Path + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

var (
	errForeign  = errors.New("is not a store of penstock relay")
	errNewer    = errors.New("was written by a newer penstock")
	errNoRoom   = errors.New("the disk is almost full: less than 64 MiB is free")
	errReplaced = dbfile.ErrReplaced
)

// refusal reports whether err concerns one request only.
func refusal(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrBegun) ||
		errors.Is(err, ErrNotEnded) || errors.Is(err, ErrDelivered)
}

// fault makes an error of the machine an [*Error].
func fault(path string, err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) || refusal(err) || errors.Is(err, ErrClosed) ||
		errors.Is(err, ErrChanged) {

		return err
	}
	e := &Error{Path: path, Err: err}
	var se *sqlite.Error
	var inUse *lockfile.InUseError
	switch {
	case errors.As(err, &se):
		e.sqlite(se)
	case errors.As(err, &inUse):
		e.Err, e.Fault = inUseBy{inUse}, InUse
	case errors.Is(err, dbfile.ErrForeign):
		e.Err, e.Fault = errForeign, Foreign
	case errors.Is(err, dbfile.ErrDamaged):
		e.Fault = Damaged
	case errors.Is(err, errNewer):
		e.Fault = Newer
	case errors.Is(err, dbfile.ErrLogOnly), errors.Is(err, lockfile.ErrStranger),
		errors.Is(err, errReplaced):
		e.Fault = Meddled
	case errors.Is(err, errNoRoom), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Fault = Full
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Fault = Unwritten
	}
	return e
}

func (e *Error) sqlite(se *sqlite.Error) {
	say := func(what string, f Fault) {
		e.Err, e.Fault = fmt.Errorf("%s (SQLite: %w)", what, se), f
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		say("the disk is full", Full)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		say("cannot be written", Unwritten)
	case sqlite3.SQLITE_IOERR:
		say("cannot be read or written", Other)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		say("is locked by another program", Meddled)
	case sqlite3.SQLITE_NOMEM:
		say("needs more memory than there is", Other)
	default:
		e.Err, e.Fault = fmt.Errorf("%w (SQLite: %w)", dbfile.ErrDamaged, se), Damaged
	}
}

// An inUseBy says which process has the lock.
type inUseBy struct{ *lockfile.InUseError }

func (e inUseBy) Error() string {
	s := "is in use by another relay"
	if e.PID != 0 {
		s += fmt.Sprintf(" (process %d)", e.PID)
	}
	return s
}

func (e inUseBy) Unwrap() error { return e.InUseError }
