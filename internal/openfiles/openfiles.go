// Package openfiles handles the process's limit of open files, to which connections count. It is a
// limit of our own, which says nothing about a file or a server: a caller that reaches it waits
// until something is closed.
package openfiles

import (
	"context"
	"time"
)

const (
	firstWait = 10 * time.Millisecond
	maxWait   = time.Second
)

// Patiently calls open until it returns something other than an error of the limit, or ctx ends.
func Patiently(ctx context.Context, open func() error) error {
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		err := open()
		if !TooMany(err) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}
