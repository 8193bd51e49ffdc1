package send

import (
	"errors"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
)

// faultWords returns the error of an item that ended because of its file. An attempt may have been accepted if it is in doubt.
func faultWords(fault error, status item.Fate, doubt bool) string {
	text := fault.Error()
	changed := !errors.As(fault, new(*body.ReadError))
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
