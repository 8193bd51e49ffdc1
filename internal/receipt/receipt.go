// Package receipt is what is said of a stored request to its client, and to programs, as JSON.
package receipt

import (
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/outbox"
)

// A Receipt is a stored request as clients and programs see it. Fields are added, never renamed.
type Receipt struct {
	ID       string       `json:"id"`
	State    outbox.State `json:"state"`
	Method   string       `json:"method"`
	Target   string       `json:"target"`
	URI      string       `json:"uri"`
	Client   string       `json:"client"`
	Size     int64        `json:"size"` // of the body, in bytes
	Accepted time.Time    `json:"accepted"`
	Attempts int          `json:"attempts"`
	Next     time.Time    `json:"next,omitzero"` // no attempt before; if zero, when its turn comes
	Ended    time.Time    `json:"ended,omitzero"`
	Status   int          `json:"status,omitempty"` // of the last answer
	Reason   string       `json:"reason,omitempty"`
	Answer   *Answer      `json:"answer,omitempty"`
}

// An Answer is the last answer of the target's.
type Answer struct {
	Status    int         `json:"status"`
	Headers   http.Header `json:"headers"`
	Body      string      `json:"body,omitempty"`
	Base64    []byte      `json:"body_base64,omitempty"` // in place of Body if that is no text
	Truncated bool        `json:"truncated,omitempty"`
}

// Full returns the receipt of a stored request, with its answer.
func Full(e outbox.Entry) Receipt {
	s := Of(e)
	if a := e.Answer; a != nil {
		s.Answer = &Answer{Status: e.Status, Headers: a.Header, Truncated: a.Cut}
		if utf8.Valid(a.Body) {
			s.Answer.Body = string(a.Body)
		} else {
			s.Answer.Base64 = a.Body
		}
	}
	return s
}

// Of returns the receipt of a stored request, without its answer.
func Of(e outbox.Entry) Receipt {
	return Receipt{
		ID: e.ID, State: e.State, Method: e.Method, Target: e.Target, URI: e.URI,
		Client: clientconn.GivenName(e.Client), Size: e.Size, Accepted: e.Accepted.UTC(),
		Attempts: e.Attempts, Next: e.Due.UTC(), Ended: e.Ended.UTC(), Status: e.Status,
		Reason: e.Reason,
	}
}
