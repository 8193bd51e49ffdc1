package retry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// outages are the ways in which a server may take a request, and do nothing with it.
var outages = map[string]try{
	"500":             {status: 500},
	"502":             {status: 502},
	"504":             {status: 504},
	"520":             {status: 520},
	"reset":           {err: errReset, stage: connected},
	"timeout":         {err: context.DeadlineExceeded, stage: connected, delay: 5 * time.Second},
	"502 by a proxy":  {err: proxyStatusError(502), stage: dialling},
	"503, a refusal":  {status: 503},
	"refused, a dial": {err: errRefused, stage: dialling},
}

// While a server that has accepted something accepts nothing at all no request fails, however often
// it is tried, and those that were in flight when that began pay nothing for those that still came
// through.
func TestOutagePaysNoAttempt(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const from, to = time.Minute, 31 * time.Minute
				start := time.Now()
				c := &Client{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if now := time.Since(start); now >= from && now < to {
						return play(outage).RoundTrip(r)
					}
					return play(try{status: 201, delay: time.Second}).RoundTrip(r)
				})}}
				if name != "timeout" { // which may happen to repeat with no other in between
					c.Policy.Attempts = 2
				}
				var calls sync.WaitGroup
				for i := range 8 {
					calls.Go(func() {
						// so that some are in flight
						time.Sleep(time.Duration(i) * 130 * time.Millisecond)
						for time.Since(start) < to+time.Minute {
							r := end(t, c, request(t, "PUT", "x"))
							check(t, "outcome", r.Outcome, Delivered)
						}
					})
				}
				calls.Wait()
			})
		})
	}
}

// roundTrip is a transport of one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A request that always fails while others are accepted fails after its attempts, also where others
// fail now and then.
func TestFailureOfOneRequest(t *testing.T) {
	for name, failure := range outages {
		if strings.Contains(name, ",") || strings.Contains(name, "proxy") {
			continue // refusals
		}
		for _, flaky := range []int64{0, 3} { // one in so many of the others fails once
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int64
				var once sync.Map
				c := &Client{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					id := r.Header.Get("Id")
					if _, again := once.LoadOrStore(id, true); id == "" || !again &&
						strings.HasPrefix(id, "flaky") {
						return play(failure).RoundTrip(r)
					}
					return play(try{status: 201, delay: 50 * time.Millisecond}).RoundTrip(r)
				})}}
				ctx, cancel := context.WithCancel(t.Context())
				var calls sync.WaitGroup
				for range 4 {
					calls.Go(func() {
						for ctx.Err() == nil {
							other := request(t, "PUT", "x")
							i := n.Add(1)
							if other.Header.Set("Id", fmt.Sprint(i)); flaky > 0 && i%flaky == 0 {
								other.Header.Set("Id", fmt.Sprint("flaky", i))
							}
							check(t, "outcome of another", end(t, c, other).Outcome, Delivered)
						}
					})
				}
				r := end(t, c, request(t, "PUT", "x"))
				check(t, name+": outcome", r.Outcome, Failed)
				// the others may happen to fail, too, between two tries
				if r.Attempts < 8 || r.Attempts > 16 {
					t.Errorf("%s: %d tries, want 8", name, r.Attempts)
				}
				cancel()
				calls.Wait()
			})
		}
	}
}

// Of a request that fails while no other is tried nobody knows whether the server is down. If it
// accepted others before, ten minutes decide, or GiveUpAfter if that is less, or nothing if that is
// no limit.
func TestFailureWithoutOthers(t *testing.T) {
	for name, failure := range outages {
		for _, p := range []Policy{{}, {GiveUpAfter: time.Minute}, {GiveUpAfter: 24 * time.Hour},
			{Attempts: 1}} {
			for _, accepted := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					tries := []try{{status: 201}, failure}
					if !accepted {
						tries = tries[1:]
					}
					c, _ := over(play(tries...), p)
					if accepted {
						check(t, "outcome of the first", end(t, c, request(t, "PUT", "x")).Outcome,
							Delivered)
					}
					start := time.Now()
					r := end(t, c, request(t, "PUT", "x"))
					took := time.Since(start)
					refusal := failure.status == 503 || failure.stage == dialling
					want, most := Deferred, 10*time.Minute
					switch {
					case p.Attempts == 1 && !refusal, name == "timeout", !accepted && !refusal:
						want = Failed
					case refusal:
						most = p.orDefaults().GiveUpAfter
					}
					if p.GiveUpAfter > 0 {
						most = min(most, p.GiveUpAfter)
					}
					if r.Outcome != want || want == Deferred && took > most || want == Deferred &&
						took < most-time.Minute {
						t.Errorf("%s, %+v, accepted %v: %v after %v, want %v after %v", name, p,
							accepted, r.Outcome, took, want, most)
					}
					if want == Failed && p.GiveUpAfter == 0 && p.Attempts == 0 && r.Attempts != 8 {
						t.Errorf("%s: %d attempts, want 8", name, r.Attempts)
					}
				})
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c, _ := over(play(try{status: 201}, try{status: 500}), Policy{GiveUpAfter: math.MaxInt64})
		end(t, c, request(t, "PUT", "x"))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Hour, errors.New("enough"))
		defer cancel()
		start := time.Now()
		end(t, c, request(t, "PUT", "x").WithContext(ctx))
		if took := time.Since(start); took < 99*time.Hour {
			t.Errorf("gave up after %v", took)
		}
	})
}

// The same where several fail and none was ever accepted.
func TestFailureOfAllFromTheStart(t *testing.T) {
	for name, failure := range outages {
		if failure.status == 503 || failure.stage == dialling {
			continue // refusals
		}
		synctest.Test(t, func(t *testing.T) {
			c := &Client{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return play(failure).RoundTrip(r) })}}
			start := time.Now()
			var calls sync.WaitGroup
			for range 20 {
				calls.Go(func() {
					r := end(t, c, request(t, "PUT", "x"))
					if took := time.Since(start); r.Outcome != Deferred || took < 9*time.Minute ||
						took > 10*time.Minute+15*time.Second {
						t.Errorf("%s: %v after %v", name, r.Outcome, took)
					}
				})
			}
			calls.Wait()
		})
	}
}

// The error of a call that was refused for too long names the bound that ended it.
func TestWordsOfGivingUp(t *testing.T) {
	for _, c := range []struct {
		accepted bool // before
		status   int
		want     string
	}{
		{false, 503, ": the next attempt would be after GiveUpAfter 1h0m0s"},
		{true, 500, ": the next attempt would be more than 10m0s after the first refusal, " +
			"and the request itself may be at fault"},
	} {
		synctest.Test(t, func(t *testing.T) {
			status := c.status
			if c.accepted {
				status = 201
			}
			client := &Client{HTTP: &http.Client{Transport: roundTrip(
				func(r *http.Request) (*http.Response, error) {
					return play(try{status: status}).RoundTrip(r)
				})}}
			if c.accepted {
				end(t, client, request(t, "PUT", "x"))
				status = c.status
			}
			r := end(t, client, request(t, "PUT", "x"))
			if r.Outcome != Deferred || !strings.HasSuffix(r.Err.Error(), c.want) {
				t.Errorf("%v: %v, want %q at its end", r.Outcome, r.Err, c.want)
			}
		})
	}
}
