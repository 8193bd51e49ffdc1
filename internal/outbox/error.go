package outbox

import (
	"errors"
	"fmt"

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
	e := &Error{Path: path}
	var of dbfile.Fault
	of, e.Err = dbfile.FaultOf(err)
	e.Fault = faults[of]
	inUse, used := errors.AsType[*lockfile.InUseError](err)
	switch {
	case used:
		e.Err, e.Fault = inUseBy{inUse}, InUse
	case e.Fault == Foreign:
		e.Err = errForeign
	case errors.Is(err, errNewer):
		e.Fault = Newer
	case errors.Is(err, lockfile.ErrStranger):
		e.Fault = Meddled
	case errors.Is(err, errNoRoom):
		e.Fault = Full
	}
	return e
}

// faults are the kinds of what is wrong with the file; those that are missing are Other.
var faults = map[dbfile.Fault]Fault{
	dbfile.Full: Full, dbfile.Unwritten: Unwritten, dbfile.Damaged: Damaged,
	dbfile.Foreign: Foreign, dbfile.LogOnly: Meddled, dbfile.Replaced: Meddled,
	dbfile.Locked: Meddled,
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
