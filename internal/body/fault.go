package body

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/item"
)

// An attempt fails with one of these if its content changed while it was sent, or between its turn
// and its opening. They are not [item.ErrChanged], which would end the call: the next attempt sends
// the new content.
var (
	ErrChanged = errors.New("the file changed while it was sent")
	ErrMoved   = errors.New("the file changed before it was sent")
)

// errChanging fails an item whose content has changed at each of maxLooks looks.
var errChanging = errors.New("the file changes faster than it can be read: send it again when it " +
	"is complete")

// A ReadError says why an item's content cannot be opened or read.
type ReadError struct {
	Err   error
	Begun bool // some of it may have been sent
}

func (e *ReadError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ReadError) Unwrap() error { return e.Err }

// Fault returns the error of the request's own content that err wraps: a [ReadError], [ErrChanged]
// or [ErrMoved]; nil if there is none. An attempt that failed because of its content says nothing
// about the server.
func Fault(err error) error {
	unread, ok := errors.AsType[*ReadError](err)
	switch {
	case ok: // the last: what has changed is tried again, this is not
		return unread
	case errors.Is(err, ErrChanged):
		return ErrChanged
	case errors.Is(err, ErrMoved):
		return ErrMoved
	}
	return nil
}

// FaultKind names a fault in a few words that are the same for all items.
func FaultKind(fault error) string {
	if errors.As(fault, new(*ReadError)) {
		return "the file cannot be read"
	}
	return fault.Error()
}

// attemptError returns the error by which an attempt fails if its content cannot be opened or read
// on: retry's own would end the call, and the system's would look like one of the connection.
func attemptError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var unopened *filebody.OpenError
	begun := !errors.As(err, &unopened)
	changed := errors.Is(err, item.ErrChanged)
	switch {
	case changed && begun:
		return ErrChanged
	case changed:
		return ErrMoved
	case errors.Is(err, os.ErrClosed): // net/http closes it where it ends the attempt
		return err
	case !begun:
		return &ReadError{Err: item.ReadError(err)}
	case errors.As(err, new(*fs.PathError)) && Fault(err) == nil:
		return &ReadError{Err: item.ReadError(err), Begun: true}
	}
	return err
}
