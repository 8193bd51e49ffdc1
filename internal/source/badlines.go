package source

import (
	"errors"
	"fmt"
	"slices"
)

// A LinesError is about lines of a manifest that are wrong.
type LinesError struct {
	Errs []error // the first twenty
	More int     // that there are beside these
}

// Error has a line for each of Errs, and one that counts the others.
func (e *LinesError) Error() string { return errors.Join(e.Lines()...).Error() }

// Lines returns an error for each line of Error.
func (e *LinesError) Lines() []error {
	if e.More == 0 {
		return e.Errs
	}
	return append(slices.Clip(e.Errs), fmt.Errorf("and %d more", e.More))
}

// badLines are the lines of a manifest that an iteration found wrong.
type badLines struct {
	n    int
	errs []error
}

func (b *badLines) add(err error) {
	if b.n++; b.n <= maxFailures {
		b.errs = append(b.errs, fmt.Errorf("source: %w", err))
	}
}

func (b *badLines) error() error {
	if b.n == 1 {
		return b.errs[0]
	}
	return &LinesError{b.errs, b.n - len(b.errs)}
}
