//go:build !race

package matrix

import "time"

const (
	horizon = 600 * time.Second // how long a run is
	whole   = true
)
