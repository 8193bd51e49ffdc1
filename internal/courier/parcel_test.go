package courier

import (
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/outbox"
)

// What was under way when a relay was killed is sent again if that does no harm.
func TestInterrupted(t *testing.T) {
	recent, old := time.Now().Add(-time.Hour), time.Now().Add(-25*time.Hour)
	for _, c := range []struct {
		method, own, given string // keys: the relay's, the client's
		first              time.Time
		want               outbox.State
	}{
		{"PUT", "", "", old, outbox.Waiting},
		{"POST", "", "", recent, outbox.Unknown},
		{"POST", "k", "", recent, outbox.Waiting},
		{"PATCH", "", "k", recent, outbox.Waiting},
		{"POST", "k", "", old, outbox.Unknown},
		{"POST", "", "k", old, outbox.Unknown},
	} {
		e := outbox.Entry{First: c.first, Request: outbox.Request{Method: c.method, Key: c.own,
			Header: http.Header{}}}
		if c.given != "" {
			e.Header.Set("Idempotency-Key", c.given)
		}
		if got, why := Interrupted(e); got != c.want || (why == "") != (got == outbox.Waiting) {
			t.Errorf("%+v: %s, %q", c, got, why)
		}
	}
}
