//go:build race

package matrix

import "time"

// The race detector makes all of it several times slower, and is not asked whether goals are met:
// those are of whole runs.
const (
	horizon = 180 * time.Second
	whole   = false
)
