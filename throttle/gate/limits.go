package gate

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

const (
	// A client that sends evenly spaced does not arrive so: networks delay one request and not the
	// next. A gate lets requests come early by minTolerance, or by a tenth of the time between two
	// where that is more. It must also allow for clients that derive a pace from whole requests in
	// RateLimit: they err by up to one in minQuota.
	minTolerance = 50 * time.Millisecond
	minQuota     = 100

	// minWindow is the span over which RateLimit states a quota, in seconds. When a client reads
	// it, it is as old as the request took, and is wrong by that share of the window; so the window
	// is many times what most requests take.
	minWindow = 600

	// minCatch is how long a client that is early should take to be on time again.
	minCatch = time.Minute

	// slowest is the longest time between two requests, some 18 years, so that ten times that
	// cannot overflow.
	slowest = time.Duration(math.MaxInt64) / 16

	maxInteger = 999_999_999_999_999 // in a structured field (RFC 9651, section 3.3.1)
)

// Limits are what the requests of one key may use. A zero field is no limit.
type Limits struct {
	Rate rate.Limit // requests a second, or tokens where a [Gate] has a Weight

	// Burst is how many requests may come at once after a lull. It should be no less than the
	// number of clients that share a key: each may send evenly, and yet they meet. If zero, 1.
	Burst int

	InFlight int // requests that are served at once
}

// validate returns an error that names every field that is not valid, with its value.
func (l Limits) validate() error {
	var errs []error
	check := func(field string, v float64) {
		if !(v >= 0) {
			err := fmt.Errorf("gate: Limits.%s is %v, want 0 (none) or more", field, v)
			errs = append(errs, err)
		}
	}
	check("Rate", float64(l.Rate))
	check("Burst", float64(l.Burst))
	check("InFlight", float64(l.InFlight))
	return errors.Join(errs...)
}

// rules are limits in the form in which a gate applies them.
type rules struct {
	interval time.Duration // between two tokens; if zero, no rate
	most     int           // tokens that take slowest, or more, to refill
	burst    time.Duration // in which a whole burst is refilled
	early    time.Duration // by how much requests may come early, for jitter
	catch    time.Duration // in which an early client is to be on time again
	inFlight int

	name   string    // of the policy of the rate, as a structured field
	quota  int64     // tokens in its window
	window int64     // seconds
	policy []string  // RateLimit-Policy
	whole  string    // RateLimit while all of the quota is left
	none   string    // and when too many are in flight
	text   [3]string // of refusals, by EventKind
}

// newRules works out what the limits, which must be valid, mean for a gate of this name.
func newRules(name string, limits Limits) *rules {
	l := &rules{inFlight: limits.InFlight}
	if l.inFlight == 0 {
		l.inFlight = math.MaxInt
	}
	if name == "" {
		name = "default"
	}
	if r := limits.Rate; r > 0 && r != rate.Inf {
		l.interval = slowest
		if s := 1 / float64(r); s < slowest.Seconds() {
			l.interval = max(time.Duration(s*float64(time.Second)), 1)
		}
		l.most = int(min(slowest/l.interval, math.MaxInt))
		l.burst = l.cost(max(limits.Burst, 1))
		l.early = max(minTolerance, l.interval/10)
		l.catch = max(minCatch, 10*l.interval)

		l.name = strconv.Quote(name) // RFC 9651, section 3.3.3: so in printable ASCII
		l.window = max(minWindow, int64(math.Ceil(minQuota*l.interval.Seconds())))
		// what is as good as whole is
		l.quota = int64(float64(l.window)/l.interval.Seconds() + 1e-6)
		l.policy = append(l.policy, fmt.Sprintf("%s;q=%d;w=%d", l.name, l.quota, l.window))
		l.whole = l.rateLimit(l.quota, l.window)
		l.text[EventRefusedByRate] = fmt.Sprintf(
			"too many requests: at most %d in %d s, evenly spaced", l.quota, l.window)
	}
	if limits.InFlight > 0 {
		name += "-in-flight"
		most := min(int64(limits.InFlight), maxInteger)
		l.policy = append(l.policy, fmt.Sprintf("%q;q=%d;qu=\"concurrent-requests\"", name, most))
		l.none = strconv.Quote(name) + ";r=0"
		l.text[EventRefusedByInFlight] = fmt.Sprintf(
			"too many requests at once: at most %d", limits.InFlight)
	}
	return l
}

// rateLimit writes RateLimit: r tokens left within t seconds.
func (l *rules) rateLimit(r, t int64) string {
	return l.name + ";r=" + strconv.FormatInt(r, 10) + ";t=" + strconv.FormatInt(t, 10)
}

// cost is the time in which so many tokens are refilled; 0 if there is no rate.
func (l *rules) cost(tokens int) time.Duration {
	switch {
	case l.interval == 0:
		return 0
	case tokens >= l.most:
		return slowest
	}
	return time.Duration(max(tokens, 0)) * l.interval
}
