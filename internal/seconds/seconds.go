// Package seconds converts numbers of seconds.
package seconds

import (
	"math"
	"time"
)

// Duration returns s seconds, or the longest duration if s is more.
func Duration(s float64) time.Duration {
	// As a float64 the longest duration is one too many.
	if s *= float64(time.Second); s < math.MaxInt64 {
		return time.Duration(s)
	}
	return math.MaxInt64
}
