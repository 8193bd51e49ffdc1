// Package send is the engine of penstock send: it takes items from a source, has a pool of workers
// send them through retry and throttle, and reports how each ended.
package send

import (
	"log/slog"
	"time"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/header"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/plan"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/quota"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/rules"
)

// Options are one run. Source, Progress and Log must be set; zero durations are no limit.
type Options struct {
	plan.Work // Run sets what the journal has to say in it

	Workers  int           // 0: as many as the limits need
	Attempts int           // of one item
	Timeout  time.Duration // of one attempt

	MaxDuration time.Duration // of the run
	GiveUpAfter time.Duration // without anything accepted
	StopTimeout time.Duration // for what is in flight when the user stops the run

	FollowTo    Hosts // servers that a redirect may lead to, besides the one that it is from
	UserAgent   string
	Filled      []header.Field // those of Header that have variables
	ContentType string         // if empty, by the file's extension, or what the body is

	Answers rules.Set // what answers mean, where it is not what their status says
	// Captures are kept of the answers to what is delivered, in results and journal.
	Captures rules.Captures

	// Journal remembers what became of each item; Run closes it. If nil, nothing is remembered.
	Journal  *journal.Journal
	Practice bool     // the server is a practice server of this run
	Remarks  []string // to be logged at the start
	Details  []string // to be logged at the start with --verbose

	// Quota is shared with other runs, for all servers together. If nil, there is none.
	Quota *quota.Quota

	Results  *results.Writer // if nil, none
	Progress progress.Sink
	Log      *slog.Logger

	// Publish is told several times a second, and at the end, what the run does. It must not block.
	Publish func(board.State) // if nil, nothing is published
}
