package status

import (
	"errors"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
)

// MayHaveArrived is added to the error of an unknown item that only says what went wrong.
const MayHaveArrived = "it may have been accepted"

// Content returns the error of an item that ended because of its own content, such as a file that
// changed. If in doubt, an attempt may have been accepted.
func Content(fault error, fate item.Fate, doubt bool) string {
	text := fault.Error()
	changed := !errors.As(fault, new(*body.ReadError))
	switch {
	case !doubt && fate != item.Unknown:
	case changed:
		text += ", and the server may have accepted a mix of the old content and the new"
	default:
		text += ": " + MayHaveArrived
	}
	if changed && fate != item.Unknown {
		text += ": send it again when it is complete"
	}
	return text
}
