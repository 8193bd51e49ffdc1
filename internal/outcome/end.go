package outcome

import (
	"cmp"
	"errors"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/retry"
)

// A Call is how the last call for an item ended, and what else decides how the item ends.
type Call struct {
	retry.Result
	Sent     bool // a request for the item has left, in this call or before
	Tries    int  // how many reached its server
	Ending   bool // the run ends
	Hopeless bool // the items that are left have been tried for long enough
}

// An End is what becomes of an item.
type End struct {
	Fate  item.Fate
	Fault error // of the content, if that ended the item
	// Outage reports whether the server failed it as it fails any item in an outage.
	Outage bool
	Doubt  bool  // it is not known to be delivered, and an attempt may have been accepted
	Rival  Rival // of an unknown item: see Rival
}

// end returns what becomes of an item by its last call alone. The fault is why the last attempt
// failed, if it sent some of the content; doubt says that an attempt may have been accepted.
func (c *Call) end(fault error, doubt bool) (end End) {
	switch c.Outcome {
	case retry.Delivered:
		return End{Fate: item.Delivered}
	case retry.Unknown:
		end.Fate = item.Unknown
	case retry.Deferred:
		end.Fate = item.Deferred
		if c.Hopeless && c.Sent {
			end.Fate = item.Failed
		}
	default:
		end.Fate = item.Failed
	}
	if errors.Is(c.Err, resume.ErrKeyForgotten) {
		end.Fate = item.Unknown
	}
	content := cmp.Or(fault, body.Fault(c.Err))
	// The server may have accepted what was sent of a file that changed, so the item is not
	// deferred.
	if end.Fate == item.Deferred &&
		(fault != nil || errors.As(content, new(*body.ReadError)) && !c.Ending) {
		end.Fate = item.Failed
	}
	end.Doubt = doubt && end.Fate != item.Unknown
	switch {
	case end.Fate != item.Deferred && content != nil:
		end.Fault = content
	case end.Fate == item.Deferred && !c.Ending && errors.Is(c.Err, retry.ErrUnreachable):
		end.Fate = item.Failed // also where another request found it out
	}
	return end
}
