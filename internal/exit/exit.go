// Package exit has the exit statuses of the program: what each means, and which one is used when
// several apply.
package exit

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Exit statuses of the program.
const (
	Delivered   = 0
	Failed      = 1
	Usage       = 2
	Items       = 3
	Refused     = 4
	Unavailable = 5
	Local       = 6
	InUse       = 7
	Limit       = 10
	Interrupted = 130
	Terminated  = 143
)

// A row is a status: how strong it is as that of a reason to end a run before all items have, the
// strongest 1, and 0 if there is no such reason; what it means in a few words; and how the help
// explains it.
type row struct {
	status, rank  int
	meaning, help string
}

// statuses are in the order of the help.
var statuses = []row{
	{Delivered, 0, "all delivered", "all delivered, or nothing to do"},
	{Failed, 4, "failed", "failed otherwise"},
	{Usage, 7, "usage or configuration",
		"wrong usage or configuration, or no file that can be sent"},
	{Items, 9, "finished, but not every item is known to be delivered",
		"finished, but some items failed, or it is not known whether they arrived"},
	{Refused, 5, "refused: the server accepts nothing of what it is sent",
		"refused: ten files in a row by 401, 402, 407 or 507, or twenty alike by\n" +
			"another 3xx, 4xx, 501 or 505 to 511; the rest is kept for the next run"},
	{Unavailable, 6,
		"the server was unavailable or throttled beyond what was allowed; trying later may work",
		"the server is unavailable or asked us to wait; later may work"},
	{Local, 1, "a local fault, such as a full disk",
		"a local fault, such as a full disk or a damaged journal"},
	{InUse, 0, "another run has the journal", "another run has the journal"},
	{Limit, 8, "a limit that you set ended the run", "a limit that you set ended the run"},
	{Interrupted, 2, "interrupted",
		"interrupted (143: terminated); the same command goes on where it stopped"},
	{Terminated, 3, "terminated", ""},
}

func rowOf(status int) row {
	for _, s := range statuses {
		if s.status == status {
			return s
		}
	}
	return rowOf(Failed)
}

// Meaning returns in a few words what a status means.
func Meaning(status int) string { return rowOf(status).meaning }

// Stronger reports whether a status counts where the reasons to end a run have it and another one.
func Stronger(status, other int) bool { return rowOf(status).rank < rowOf(other).rank }

// Help explains the statuses, a line or two for each.
func Help() string {
	var b strings.Builder
	for _, s := range statuses {
		if s.help != "" {
			fmt.Fprintf(&b, "%4d  %s\n", s.status, strings.ReplaceAll(s.help, "\n", "\n      "))
		}
	}
	return b.String()
}

// An Error ends the program with a status. Its error, if there is one, is shown.
type Error struct {
	Status int
	Err    error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Signal is the cause of a stop by a signal.
type Signal struct{ Signal os.Signal }

func (e *Signal) Error() string { return Meaning(e.Status()) }

// Is makes it a cancellation, of which nothing more need be said.
func (e *Signal) Is(target error) bool { return target == context.Canceled }

// Status is the exit status that belongs to the signal.
func (e *Signal) Status() int {
	if e.Signal == os.Interrupt {
		return Interrupted
	}
	return Terminated
}
