package retry

import (
	"errors"
	"fmt"

	"github.com/penstock/penstock/internal/secret"
)

// streams reports whether the caller may go on writing the request's body while it reads the
// answer: a StandardClient was given a body whose length is not known and which cannot be sent
// again, such as a pipe. To wait for its end could only be in vain.
func (c *call) streams() bool {
	return c.standard && !c.replayable && c.req.ContentLength <= 0
}

// settled returns how the call ended, as far as that is known now.
func (c *call) settled() Result {
	r := c.result
	if !c.streaming || c.wire.attempt.marks()&(gotConn|wroteRequest) != gotConn {
		return r
	}
	why := "its body is still being sent"
	if c.wire.attempt.marks()&cutShort != 0 {
		why = reasonEarly
	}
	text := fmt.Sprintf("%s: %d, but %s", name(c.req), r.Status, why)
	r.Outcome, r.Uncertain, r.Err = Unknown, true, errors.New(secret.Of(c.req).Hide(text))
	return r
}
