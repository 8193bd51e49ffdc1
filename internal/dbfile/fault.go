package dbfile

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A Fault is the kind of an error: what is wrong with a file of ours, or with its disk.
type Fault int

// The faults. Other is the zero value.
const (
	Other     Fault = iota
	Full            // no room on the disk
	Unwritten       // the disk, the directory or the file cannot be written
	Unread          // the disk fails
	Damaged         // see [ErrDamaged]
	Foreign         // see [ErrForeign]
	LogOnly         // see [ErrLogOnly]
	Replaced        // see [ErrReplaced]
	Locked          // another program has locked the file
	NoMemory
)

// FaultOf returns the kind of an error, and the error in words that follow the file's name.
func FaultOf(err error) (Fault, error) {
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		return ofSQLite(se)
	}
	for _, f := range []struct {
		of    error
		fault Fault
	}{
		{ErrDamaged, Damaged}, {ErrForeign, Foreign}, {ErrLogOnly, LogOnly},
		{ErrReplaced, Replaced}, {syscall.ENOSPC, Full}, {syscall.EDQUOT, Full},
		{fs.ErrPermission, Unwritten}, {syscall.EROFS, Unwritten},
	} {
		if errors.Is(err, f.of) {
			return f.fault, err
		}
	}
	return Other, err
}

func ofSQLite(se *sqlite.Error) (Fault, error) {
	as := func(what string, f Fault) (Fault, error) {
		return f, fmt.Errorf("%s (SQLite: %w)", what, se)
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return as("the disk is full", Full)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return as("cannot be written", Unwritten)
	case sqlite3.SQLITE_IOERR:
		return as("cannot be read or written", Unread)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return as("is locked by another program", Locked)
	case sqlite3.SQLITE_NOMEM:
		return as("needs more memory than there is", NoMemory)
	}
	return Damaged, fmt.Errorf("%w (SQLite: %w)", ErrDamaged, se)
}
