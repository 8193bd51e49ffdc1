package send

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/penstock/penstock/internal/secret"
)

// Exit statuses of the program.
const (
	ExitDelivered   = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitItems       = 3
	ExitRefused     = 4
	ExitUnavailable = 5
	ExitLocal       = 6
	ExitInUse       = 7
	ExitLimit       = 10
	ExitInterrupted = 130
	ExitTerminated  = 143
)

// ExitStatuses explains them, for the help text.
const ExitStatuses = `   0  all delivered, or nothing to do
   1  failed otherwise
   2  wrong usage or configuration, or no file that can be sent
   3  finished, but some items failed, or it is not known whether they arrived
   4  refused: ten files in a row by 401, 402, 407 or 507, or twenty alike by another
      3xx, 4xx, 501 or 505 to 511; the rest is kept for the next run
   5  the server is unavailable or asked us to wait; later may work
   6  a local fault, such as a full disk or a damaged journal
   7  another run has the journal
  10  a limit that you set ended the run
 130  interrupted (143: terminated); the same command goes on where it stopped
`

// precedence of the statuses, where several hold.
var precedence = []int{ExitLocal, ExitInterrupted, ExitTerminated, ExitFailed, ExitRefused, ExitUnavailable, ExitUsage, ExitLimit, ExitItems}

// packages are the prefixes of our packages' errors.
var packages = regexp.MustCompile(`^(journal|lab|pool|report|retry|source|throttle): `)

// Plain is the text of an error without the names of packages, which say nothing to people who read it. A name counts as one
// only where the text of an error begins with it: elsewhere it may be part of a file's name.
func Plain(err error) string {
	text := err.Error()
	eachError(err, func(e error) {
		own := e.Error()
		if prefix := packages.FindString(own); prefix != "" {
			if i := strings.LastIndex(text, own); i >= 0 {
				text = text[:i] + text[i+len(prefix):]
			}
		}
	})
	return text
}

// eachError calls do for an error and for those that it wraps, from the outside in.
func eachError(err error, do func(error)) {
	if err == nil {
		return
	}
	do(err)
	switch e := err.(type) {
	case *secret.Error: // whose text quotes that of the error it stands for
		eachError(e.Err, do)
	case interface{ Unwrap() error }:
		eachError(e.Unwrap(), do)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			eachError(inner, do)
		}
	}
}

// Interrupted is the cause of a stop by signal.
type Interrupted struct{ Signal os.Signal }

func (e *Interrupted) Error() string {
	if e.Signal == os.Interrupt {
		return "interrupted"
	}
	return "terminated"
}

// Is makes it a cancellation, of which nothing more need be said.
func (e *Interrupted) Is(target error) bool { return target == context.Canceled }

// Status is the exit status that belongs to the signal.
func (e *Interrupted) Status() int {
	if e.Signal == os.Interrupt {
		return ExitInterrupted
	}
	return ExitTerminated
}

// ending collects why a run ends before all its items have.
type ending struct {
	begin func() // called once, by the first reason

	mu      sync.Mutex
	first   error
	reasons map[int]error // by exit status
}

// end notes a reason to end the run and begins to stop it.
func (r *run) end(status int, reason error) {
	e := &r.ending
	reason = r.secrets.clean(reason)
	e.mu.Lock()
	first := e.first == nil
	if first {
		e.first = fmt.Errorf("the run is ending: %w", reason)
		e.reasons = make(map[int]error)
	}
	if e.reasons[status] == nil {
		e.reasons[status] = reason
	}
	e.mu.Unlock()
	if first {
		e.begin()
	}
}

// cause is why the run is ending, nil while it is not.
func (e *ending) cause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.first
}

// status returns the exit status of the reasons, and the reason.
func (e *ending) status() (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, status := range precedence {
		if reason := e.reasons[status]; reason != nil {
			return status, reason
		}
	}
	return ExitDelivered, nil
}
