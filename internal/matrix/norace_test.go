//go:build !race

package matrix

import "time"

// horizon is how long a run is.
const horizon = 600 * time.Second
