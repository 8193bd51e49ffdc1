package journal

import (
	"errors"
	"io/fs"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/lockfile"
)

// An Error is a fault of this machine: of its disk, of permissions, or of the journal's file.
type Error struct {
	Path   string
	Err    error // what is wrong
	Remedy Remedy
}

// Error returns one line: path and fault.
func (e *Error) Error() string { return "journal " + e.Path + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// InUseError says that another run, or another part of this program, uses the journal.
type InUseError = lockfile.InUseError

// ErrClosed is the error of rows that are recorded after Close.
var ErrClosed = errors.New("journal: closed")

// A Remedy is what a person can do about an Error.
type Remedy int

// The remedies. NoRemedy is the zero value.
const (
	NoRemedy    Remedy = iota
	NameFile           // give a file's name
	Unused             // none: a run was killed before it recorded anything
	CopyWithLog        // copy the file and its log to a directory that can be written
	MoveAway           // move the file away, or use another one
	UseAnother         // use another file, or the newer penstock
	UseWritable        // use a file that can be written, or none
	MakeRoom           // on the disk
	CheckDisk          // and its quota, or use another file
	PutBack            // the file that is gone, or remove its log too
	RemoveLock         // a file that may be another user's, in place of the lock
	KeepOff            // let no other program touch the file
	EndOther           // the program that has locked the file
	NameOther          // name another journal
)

var (
	errDamaged  = dbfile.ErrDamaged
	errNewer    = errors.New("was written by a newer penstock")
	errReplaced = dbfile.ErrReplaced
)

// fault gives err the path and the remedy for a run that writes its journal.
func fault(path string, err error) error { return faultFor(path, err, UseWritable) }

// readFault is fault for a journal that is only read.
func readFault(path string, err error) error { return faultFor(path, err, NoRemedy) }

func faultFor(path string, err error, remedy Remedy) error {
	var known *Error
	var inUse *InUseError
	var shard *ShardError
	if err == nil || errors.As(err, &known) || errors.As(err, &inUse) || errors.As(err, &shard) {
		return err
	}
	e := &Error{Path: path, Remedy: remedy}
	var of dbfile.Fault
	of, e.Err = dbfile.FaultOf(err)
	own, ofFile := remedies[of]
	if ofFile {
		e.Remedy = own
	}
	var pe *fs.PathError
	switch {
	case errors.Is(err, errNewer):
		e.Remedy = UseAnother
	case errors.Is(err, lockfile.ErrStranger):
		e.Remedy = RemoveLock
	case !ofFile && errors.As(err, &pe) && pe.Path == path:
		e.Err = pe.Err
	}
	return e
}

// remedies are those of what is wrong with the file, where it does not depend on its use.
var remedies = map[dbfile.Fault]Remedy{
	dbfile.Full: MakeRoom, dbfile.Unread: CheckDisk, dbfile.Damaged: MoveAway,
	dbfile.Foreign: MoveAway, dbfile.LogOnly: PutBack, dbfile.Replaced: KeepOff,
	dbfile.Locked: EndOther, dbfile.NoMemory: NoRemedy,
}
