//go:build race

package matrix

import "time"

// The race detector makes all of it ten times slower.
const horizon = 150 * time.Second
