package status

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/upstream"
)

// reason says why a run, or sending to a server, ends. The error of another package that it wraps
// is in it with its own text. An error that is no reason keeps its text.
func reason(err error, text string) string {
	switch e := err.(type) {
	case stop.MaxDuration:
		return fmt.Sprintf("--max-duration %s is over", human.Exact(e.Limit))
	case stop.GaveUp:
		return gaveUp(e)
	case stop.LastRefused:
		return fmt.Sprintf("the last %s were refused for %s while nothing else was left; "+
			"others that were sent after them were accepted", human.Plural(e.Items, "file"),
			human.Span(e.After))
	case stop.ResultsFailed:
		again := ""
		if e.Journaled {
			again = "; penstock journal export writes them again"
		}
		return fmt.Sprintf("--results: %v%s", e.Err, again)
	case stop.JournalFailed:
		return e.Err.Error()
	case stop.SourceFailed:
		return e.Err.Error()
	case stop.Interrupted:
		return e.Err.Error()
	case stop.StopTimeout:
		return fmt.Sprintf("%v, and --stop-timeout %s is over", e.Err, human.Exact(e.Limit))
	case stop.LeftAlone:
		return leftAlone(e)
	case stop.RefusesAll:
		since := ""
		if e.Before {
			since = " since the first of them"
		}
		return fmt.Sprintf("the last %d answers were %s and nothing was accepted%s: %s",
			e.Items, Line(e.Code), since, Advice(e.Code))
	case stop.InDoubt:
		return "twenty files in a row may have been accepted, " +
			"and none is known to be: check at the server which of them arrived"
	case stop.Unreachable:
		if e.Cause == nil {
			return "check the URL, the proxy and the TLS settings"
		}
		return Cause(e.Cause)
	}
	return text
}

func gaveUp(e stop.GaveUp) string {
	by := " (--give-up-after)"
	if e.Ours {
		by = ", nor ever before"
	}
	text := fmt.Sprintf("nothing was accepted for %s%s", human.Exact(e.After), by)
	if e.Trouble != "" {
		text += ": " + e.Trouble
	}
	if e.Until.IsZero() {
		return text + "; try again later"
	}
	return text + "; the server asked us to wait until " + e.Until.Format(time.RFC3339)
}

func leftAlone(e stop.LeftAlone) string {
	text := "the server asked us to wait until " + e.Until.Format(time.RFC3339)
	switch {
	case e.Source == "quota":
		text = "our quota at the server is used up until " + e.Until.Format(time.RFC3339)
	case e.Source == ByHand, e.Source == QuotaByHand:
		text = whose(e.Source) + "paused by hand until " + e.Until.Format(time.RFC3339)
	case e.Earlier:
		text = AskedEarlier("the server", e.Until, e.At)
	}
	if e.MaxWait > 0 {
		text += ", longer than --max-wait " + human.Exact(e.MaxWait)
	}
	return text
}

// ResultsUnread and ResultsWait warn that results stay unread: while the run could send, and at its
// end.
const (
	ResultsUnread = "nobody reads --results: nothing new is sent until somebody does"
	ResultsWait   = "waiting for the reader of --results"
)

// StopTimeoutOver announces [stop.StopTimeout].
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
	return text + "; " + breakingOff(cause)
}

// breakingOff says how an orderly stop is broken off. After one that no signal has begun, as by
// HTTP, the first signal changes nothing: supervisors drain, and then send SIGTERM.
func breakingOff(cause error) string {
	by, ok := errors.AsType[*exit.Signal](cause)
	switch {
	case !ok:
		return "two signals end it at once"
	case by.Signal == os.Interrupt:
		return "a second Ctrl-C ends at once"
	}
	return "a second signal ends at once"
}

// Closed says that a server gets no more of a run that goes on with others.
func Closed(s *upstream.Server, why stop.ServerReason) string {
	return fmt.Sprintf("%s: %s: nothing more is sent to it", s.Key, Plain(why))
}
