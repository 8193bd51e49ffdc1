// Package standing carries what is known of a request from the package retry, which sends it again
// and again, and of a queue of them from the package fair, to the package throttle below, which
// sees each attempt alone.
package standing

import (
	"context"
	"sync/atomic"
)

// A Standing is how a request fared until now.
type Standing uint8

const (
	Unknown Standing = iota // nothing sends it again
	Fresh                   // it was not sent yet
	Tried                   // it was, and was not accepted
	Blamed                  // it is refused while others of its kind are accepted: it is the cause
)

// Key is the key under which a request's context has its Standing.
type Key struct{}

// Of returns the standing of the request that has the given context.
func Of(ctx context.Context) Standing {
	s, _ := ctx.Value(Key{}).(Standing)
	return s
}

// CrowdKey is the key under which the context of a caller that gets turns for others has how many
// of them wait, an *atomic.Int64.
type CrowdKey struct{}

// Crowd returns what a context has under CrowdKey, or nil.
func Crowd(ctx context.Context) *atomic.Int64 {
	n, _ := ctx.Value(CrowdKey{}).(*atomic.Int64)
	return n
}

// PacedKey is the key under which a request's context has a place, an *atomic.Bool, where a limiter
// below notes that it holds all requests back while their upstream refuses some.
type PacedKey struct{}

// Pace notes that for the request that has the given context.
func Pace(ctx context.Context) {
	if paced, ok := ctx.Value(PacedKey{}).(*atomic.Bool); ok && !paced.Load() {
		paced.Store(true)
	}
}
