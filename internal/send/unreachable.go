package send

import (
	"errors"
	"fmt"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
)

// mayBeTLS reports whether err may come from a server that speaks TLS and got plain HTTP.
func (r *run) mayBeTLS(j *job, err error) bool {
	var c *wire.Cause
	return j.server != nil && errors.As(err, &c) && c.Kind == wire.Closed && j.server.MayBeTLS()
}

// unreachableError is the reason why nothing more is sent to a server.
type unreachableError struct{ text string }

func (e unreachableError) Error() string      { return e.text }
func (unreachableError) Is(target error) bool { return target == retry.ErrUnreachable }

// unreachable ends sending to a job's server, unless that has accepted something: then it is this
// item's URL. It returns what the item ended with, in words.
func (r *run) unreachable(j *job, cause error, text string) string {
	ends, reason := exit.Unavailable, "check the URL, the proxy and the TLS settings"
	var known *wire.Cause
	var earlier unreachableError
	switch {
	case errors.As(cause, &known):
		if known.Fault {
			ends = exit.Usage
		}
		reason = status.Cause(known)
		text = fmt.Sprintf("%s %s: %s", j.item.Method, secret.URL(j.item.URL), reason)
	case errors.As(cause, &earlier): // another request found it out
		text = fmt.Sprintf("%s %s: %s", j.item.Method, secret.URL(j.item.URL), earlier.text)
	}
	if j.server != nil && j.server.Accepted() == 0 && r.ending.Cause() == nil {
		r.shut(j.server, ends, unreachableError{reason})
	}
	return text
}
