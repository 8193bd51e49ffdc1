package throttle_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// A request whose limits are not valid was not sent, and is not to be sent again.
func TestRetryWithLimitsThatAreNotValid(t *testing.T) {
	for _, method := range []string{"PUT", "POST"} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			c := &retry.Client{HTTP: &http.Client{Transport: &throttle.Transport{
				Limits: throttle.Limits{Rate: -1},
			}}}
			req, _ := http.NewRequest(method, "http://h.example/", strings.NewReader("x"))
			r := retry.OutcomeOf(c.Do(req))
			if r.Outcome != retry.Deferred || r.Attempts != 1 || r.Uncertain ||
				time.Since(begin) > 0 {
				t.Errorf("%s: %+v after %v", method, r, time.Since(begin))
			}
			if !strings.Contains(r.Err.Error(), "Limits.Rate is -1") {
				t.Errorf("%s: %v", method, r.Err)
			}
		})
	}
}
