package status

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/upstream"
)

// Why a run, or sending to a server, ends. Each returns a reason in words.

// MaxDuration is the end of a run by --max-duration.
func MaxDuration(limit time.Duration) error {
	return fmt.Errorf("--max-duration %s is over", human.Exact(limit))
}

// GaveUp is the end of a run in which nothing was accepted for too long.
func GaveUp(why upstream.GivenUp) error {
	by := " (--give-up-after)"
	if why.Ours {
		by = ", nor ever before"
	}
	text := fmt.Sprintf("nothing was accepted for %s%s", human.Exact(why.After), by)
	if why.Trouble != "" {
		text += ": " + why.Trouble
	}
	if why.Until.IsZero() {
		return errors.New(text + "; try again later")
	}
	return fmt.Errorf("%s; the server asked us to wait until %s", text,
		why.Until.Format(time.RFC3339))
}

// LeftAlone is the end of sending to a server, perhaps nil, that asked for a wait longer than
// maxWait, if that is not zero.
func LeftAlone(s *upstream.Server, until time.Time, maxWait time.Duration) error {
	text := "the server asked us to wait until " + until.Format(time.RFC3339)
	switch {
	case s == nil:
	case s.Stats().PauseSource == "quota":
		text = "our quota at the server is used up until " + until.Format(time.RFC3339)
	case s.Earlier().Equal(until):
		text = AskedEarlier("the server", until, time.Now())
	}
	if maxWait > 0 {
		text += ", longer than --max-wait " + human.Exact(maxWait)
	}
	return errors.New(text)
}

// RefusesAll is the end of sending to a server that refuses everything alike.
func RefusesAll(row upstream.Row) error {
	since := ""
	if row.Before {
		since = " since the first of them"
	}
	return fmt.Errorf("the last %d answers were %s and nothing was accepted%s: %s",
		row.Items, Line(row.Status), since, Advice(row.Status))
}

// ErrInDoubt is the end of sending to a server if it is not known whether it accepts anything.
var ErrInDoubt = errors.New("twenty files in a row may have been accepted, " +
	"and none is known to be: check at the server which of them arrived")

// LastRefused is the end of a run whose last items were refused for so long.
func LastRefused(items int, after time.Duration) error {
	return fmt.Errorf("the last %s were refused for %s while nothing else was left; "+
		"others that were sent after them were accepted", human.Plural(items, "file"),
		human.Span(after))
}

// ResultsUnread and ResultsWait warn that results stay unread: while the run could send, and at its
// end.
const (
	ResultsUnread = "nobody reads --results: nothing new is sent until somebody does"
	ResultsWait   = "waiting for the reader of --results"
)

// ResultsFailed is the end of a run whose results cannot be written.
func ResultsFailed(err error, journal bool) error {
	err = fmt.Errorf("--results: %w", err)
	if journal {
		err = fmt.Errorf("%w; penstock journal export writes them again", err)
	}
	return err
}

// StopTimeout is the end of waiting for what is in flight when the user stops a run.
func StopTimeout(cause error, limit time.Duration) error {
	return fmt.Errorf("%w, and --stop-timeout %s is over", cause, human.Exact(limit))
}

// StopTimeoutOver announces that.
func StopTimeoutOver(limit time.Duration) string {
	return fmt.Sprintf("--stop-timeout %s is over: what is in flight is broken off",
		human.Exact(limit))
}

// Stopping says what happens to what is in flight when the user stops a run, for limit at most, 0
// for without end.
func Stopping(cause error, inFlight int, limit time.Duration) string {
	text := fmt.Sprintf("%v: sending nothing new", cause)
	if inFlight == 0 {
		return text
	}
	text += fmt.Sprintf(", %d in flight may finish", inFlight)
	if limit > 0 {
		text += " within " + human.Exact(limit)
	}
	second := "a second signal"
	if by, ok := errors.AsType[*exit.Signal](cause); ok && by.Signal == os.Interrupt {
		second = "a second Ctrl-C"
	}
	return text + "; " + second + " ends at once"
}

// Closed says that a server gets no more of a run that goes on with others.
func Closed(s *upstream.Server, reason error) string {
	return fmt.Sprintf("%s: %v: nothing more is sent to it", s.Key, reason)
}
