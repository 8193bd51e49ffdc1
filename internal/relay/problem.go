package relay

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock/retry"
)

// A problem is an answer of the relay's own (RFC 9457).
type problem struct {
	Title    string        `json:"title"` // the status in words
	Status   int           `json:"status"`
	Detail   string        `json:"detail"`             // what happened, and what to do
	Outcome  retry.Outcome `json:"outcome,omitzero"`   // what became of the request
	Attempts int           `json:"attempts,omitempty"` // how often it was sent

	// Again is in how long another try makes sense; if zero, that is not known.
	Again time.Duration `json:"-"`
}

// refusal is the problem of a request of which nothing was sent.
func refusal(status int, detail string) *problem {
	return &problem{Status: status, Detail: detail}
}

// later is the problem of a request that should come again.
func later(detail string, again time.Duration) *problem {
	p := refusal(http.StatusServiceUnavailable, detail)
	p.Outcome, p.Again = retry.Deferred, max(again, time.Second)
	return p
}

// Error returns what happened: a problem is an error until it is an answer.
func (p *problem) Error() string { return p.Detail }

// write sends the problem as the answer.
func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	if p.Again > 0 {
		seconds := math.Ceil(min(p.Again, maxAgain).Seconds())
		h.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	p.Title = http.StatusText(p.Status)
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(text, '\n'))
}

// maxAgain bounds what is written as Retry-After: a client that waits for longer has forgotten us.
const maxAgain = 24 * time.Hour
