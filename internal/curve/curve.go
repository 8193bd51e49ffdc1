// Package curve computes the waits between the attempts of one call. backoff/v4 gives the bounds;
// each wait is drawn at random below its bound.
package curve

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// A Curve gives waits of up to min(Cap, Base·Factor^n). It is a [backoff.BackOff], for one call at
// a time.
type Curve struct {
	Base, Cap time.Duration
	Factor    float64
	Rand      func() float64                                 // if nil, that of math/rand/v2
	Own       func(n int, asked time.Duration) time.Duration // if not nil, gives the waits instead

	bounds backoff.ExponentialBackOff
	given  int // waits since Reset
}

// NextBackOff returns the next wait.
func (c *Curve) NextBackOff() time.Duration { return c.After(0) }

// After returns the next wait, on top of the wait asked for. It is at least 1ns: on a clock that
// stands still between waits, a zero wait would loop without end.
func (c *Curve) After(asked time.Duration) time.Duration {
	c.given++
	if c.Own != nil {
		return max(1, c.Own(c.given, asked))
	}
	if c.bounds.Clock == nil { // most calls never get here
		c.bounds = backoff.ExponentialBackOff{
			InitialInterval: min(c.Base, c.Cap), // the library applies its cap to later ones only
			Multiplier:      c.Factor,
			MaxInterval:     c.Cap,
			Stop:            backoff.Stop,
			Clock:           backoff.SystemClock,
			// RandomizationFactor 0: the library's jitter goes beyond its cap. MaxElapsedTime 0: it
			// never returns Stop.
		}
		c.bounds.Reset()
	}
	return c.below(c.bounds.NextBackOff())
}

// Spread returns a wait that does not grow and is not above Base, Cap and most.
func (c *Curve) Spread(asked, most time.Duration) time.Duration {
	if c.Own != nil {
		return c.After(asked)
	}
	return c.below(min(c.Base, c.Cap, most))
}

// below draws a wait of at most the given bound.
func (c *Curve) below(bound time.Duration) time.Duration {
	random := c.Rand
	if random == nil {
		random = rand.Float64
	}
	share := random()
	if !(share >= 0 && share < 1) { // a Rand of somebody else's
		share = 0
	}
	return 1 + min(bound-1, time.Duration(share*float64(bound)))
}

// Reset starts again from the first wait.
func (c *Curve) Reset() {
	c.given = 0
	c.bounds = backoff.ExponentialBackOff{}
}

// Plus adds two durations that are not negative, and stops at the longest there is.
func Plus(a, b time.Duration) time.Duration {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return math.MaxInt64
}
