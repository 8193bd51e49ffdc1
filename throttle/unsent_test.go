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

// A MaxQueue bounds the wait of a whole call.
func TestRetryAfterMaxQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		tr := &throttle.Transport{Limits: throttle.Limits{Rate: 0.01}, MaxQueue: time.Second}
		if _, ok := tr.Upstream("http://h.example").TryAcquire(1); !ok {
			t.Fatal("no permit")
		}
		c := &retry.Client{HTTP: &http.Client{Transport: tr}}
		req, _ := http.NewRequest("POST", "http://h.example/", strings.NewReader("x"))
		r := retry.OutcomeOf(c.Do(req))
		if r.Outcome != retry.Deferred || r.Uncertain || time.Since(begin) != time.Second {
			t.Errorf("%+v after %v", r, time.Since(begin))
		}
	})
}
