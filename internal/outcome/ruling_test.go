package outcome

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/throttle"
)

// What a rule says of an answer holds for the pace as well, and for what is counted at once.
func TestByRule(t *testing.T) {
	answered, success := throttle.SignalAnswered, throttle.SignalSuccess
	throttled, overloaded := throttle.SignalThrottled, throttle.SignalOverloaded
	asks := http.Header{"Retry-After": {"30"}}
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			ruled   rules.Effect
			status  int
			signal  throttle.Signal // by the status
			want    throttle.Signal
			pauses  bool
			atOnce  bool
			attempt Attempt
		}{
			{rules.None, 200, success, success, false, false, Accepted},
			{rules.Accept, 409, answered, success, false, false, Accepted},
			{rules.Accept, 503, overloaded, success, false, false, Accepted},
			{rules.Reject, 200, success, answered, false, true, Errored},
			{rules.Reject, 503, overloaded, answered, false, true, Broken},
			{rules.Retry, 202, success, answered, true, false, Errored},
			{rules.Retry, 503, overloaded, overloaded, true, false, Overloaded},
			{rules.Throttle, 200, success, throttled, true, false, Throttled},
			{rules.Unread, 403, answered, answered, false, false, Errored},
			{rules.Unread, 200, success, answered, false, false, Accepted}, // until retry judges it
		} {
			f := Feedback(c.ruled, asks, throttle.Feedback{Signal: c.signal})
			e := throttle.Event{Status: c.status, Signal: f.Signal}
			was, says, known := OfRuled(e, c.ruled)
			if f.Signal != c.want || f.RetryAt.After(time.Now()) != c.pauses ||
				IsFinalAtOnce(e, c.ruled) != c.atOnce || was != c.attempt || !known ||
				says.Accepted != (c.attempt == Accepted) {
				t.Errorf("%v of %d: %+v, %v, %+v", c.ruled, c.status, f, was, says)
			}
		}
		unread := throttle.Event{Status: 200, Signal: answered, Err: ErrUnread}
		if was, says, _ := OfRuled(unread, rules.Unread); was != Errored || says.Accepted {
			t.Errorf("unread: %v, %+v", was, says)
		}
	})
}
