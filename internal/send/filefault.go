package send

import (
	"errors"

	"github.com/penstock/penstock/internal/item"
)

// fileFault returns the error of the request's own file that err wraps; nil if there is none. An attempt that failed because of its
// file says nothing about the server.
func fileFault(err error) error {
	var file *fileError
	switch {
	case errors.As(err, &file): // the last one: a file that changed is tried again, and one that cannot be opened is not
		return file
	case errors.Is(err, errChanged):
		return errChanged
	case errors.Is(err, errMoved):
		return errMoved
	}
	return nil
}

// faultKind names a file's error in a few words that are the same for all files.
func faultKind(fault error) string {
	if errors.As(fault, new(*fileError)) {
		return "the file cannot be read"
	}
	return fault.Error()
}

// faultWords returns the error of an item that ended because of its file. An attempt may have been accepted if it is in doubt.
func faultWords(fault error, status item.Fate, doubt bool) string {
	text := fault.Error()
	changed := !errors.As(fault, new(*fileError))
	switch {
	case !doubt && status != item.Unknown:
	case changed:
		text += ", and the server may have accepted a mix of the old content and the new"
	default:
		text += ": " + mayHaveArrived
	}
	if changed && status != item.Unknown {
		text += ": send it again when it is complete"
	}
	return text
}
