package throttle

import (
	"errors"
	"fmt"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/adaptive"
)

// Limits are one upstream's ceilings. A field that is zero is not set.
//
// A field that is set is a ceiling, and sending begins at it. It is lowered when the server
// refuses, or states a smaller quota. A field that is zero is found: Rate from refusals and from
// the quotas that the server states; InFlight from latency, from the bytes a second while bodies
// take long, and from refusals, beginning with one request, and never more than the quota that is
// left. If Rate is set, latency is not used for InFlight.
//
// Whether a refusal is about the rate or about the number in flight is found, too: 429 is taken for
// the one and 503 for the other only until the evidence says otherwise. If InFlight is zero, at
// most 256 requests are on the wire. If Bandwidth is zero, there is no such limit; it is not
// learned.
//
// An Upstream of your own does not see the bytes that you send: for Bandwidth read them by
// [Permit.Reader]. A [Transport] does so by itself.
type Limits struct {
	Rate      rate.Limit // requests a second, evenly spaced
	Burst     int        // requests that may leave at once after a lull; if zero, 1
	InFlight  int        // requests on the wire
	Bandwidth rate.Limit // request-body bytes a second, all transfers together

	// Fixed takes the limits as they are, and finds none. Cool-downs and the probing of a server
	// that is down hold all the same.
	Fixed bool
}

// Validate returns an error that names every field that is not valid, with its value.
func (l Limits) Validate() error {
	var errs []error
	check := func(field string, v float64) {
		if !(v >= 0) {
			errs = append(errs, fmt.Errorf("throttle: Limits.%s is %v, want 0 (not given) or more",
				field, v))
		}
	}
	check("Rate", float64(l.Rate))
	check("Burst", float64(l.Burst))
	check("InFlight", float64(l.InFlight))
	check("Bandwidth", float64(l.Bandwidth))
	return errors.Join(errs...)
}

// adaptive returns the limits that the controller goes by.
func (l Limits) adaptive() adaptive.Limits {
	return adaptive.Limits{Rate: float64(l.Rate), InFlight: l.InFlight, Fixed: l.Fixed}
}

// unset returns r, or no limit where it is zero.
func unset(r rate.Limit) rate.Limit {
	if r == 0 {
		return rate.Inf
	}
	return r
}
