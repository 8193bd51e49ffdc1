// Package drain closes the bodies of responses so that their connections can be used again.
package drain

import (
	"io"
	"time"
)

// An HTTP/1 connection is used again only once its last answer was read to the end. A longer or
// slower rest is worth less than a new connection. The bounds are those with which a server of
// net/http treats the rest of a request's body, and a round trip.
const (
	MaxBytes = 256 << 10
	MaxTime  = 50 * time.Millisecond
)

// Close reads the rest of body, within the bounds, and closes it.
func Close(body io.ReadCloser) error {
	slow := time.AfterFunc(MaxTime, func() { body.Close() })
	io.CopyN(io.Discard, body, MaxBytes+1) // the end itself, too
	slow.Stop()
	return body.Close()
}
