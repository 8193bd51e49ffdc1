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

func (e *LinesError) add(err error) {
	if len(e.Errs) == maxFailures {
		e.More++
		return
	}
	e.Errs = append(e.Errs, fmt.Errorf("source: %w", err))
}

// orNil returns nil where there is no error, and one that is alone by itself.
func (e *LinesError) orNil() error {
	switch {
	case len(e.Errs) == 0:
		return nil
	case len(e.Errs) == 1 && e.More == 0:
		return e.Errs[0]
	}
	return e
}
