// Package problem writes the answers that a server gives of itself, in place of one of the server
// behind it: problem documents (RFC 9457).
package problem

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock/retry"
)

// A Document is such an answer. Fields are added, never renamed.
type Document struct {
	Title    string        `json:"title"` // the status in words; Write sets it
	Status   int           `json:"status"`
	Detail   string        `json:"detail"`             // what happened, and what to do
	Outcome  retry.Outcome `json:"outcome,omitzero"`   // what became of the request
	Attempts int           `json:"attempts,omitempty"` // how often it was sent

	// Again is in how long another try makes sense; if zero, that is not known.
	Again time.Duration `json:"-"`
}

// Refusal returns the problem of a request of which nothing was sent.
func Refusal(status int, detail string) *Document {
	return &Document{Status: status, Detail: detail}
}

// Later returns the problem of a request that should come again, after a second at least.
func Later(detail string, again time.Duration) *Document {
	d := Refusal(http.StatusServiceUnavailable, detail)
	d.Outcome, d.Again = retry.Deferred, max(again, time.Second)
	return d
}

// Error returns what happened: a problem is an error until it is an answer.
func (d *Document) Error() string { return d.Detail }

// Write sends the problem as the answer.
func (d *Document) Write(w http.ResponseWriter) {
	h := w.Header()
	if d.Again > 0 {
		seconds := math.Ceil(min(d.Again, maxAgain).Seconds())
		h.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	d.Title = http.StatusText(d.Status)
	text, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and numbers
	}
	w.WriteHeader(d.Status)
	_, _ = w.Write(append(text, '\n'))
}

// maxAgain bounds what is written as Retry-After: a client that waits for longer has forgotten us.
const maxAgain = 24 * time.Hour
