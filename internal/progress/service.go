package progress

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/human"
)

// NewService returns a sink for what has no end, such as a relay: of a [Snapshot] it shows what was
// delivered, as answers, and what holds them back. W must be a terminal that [CanDraw] accepts.
func NewService(w io.Writer) Sink {
	b := newBar(w.(*os.File), time.Second/2, answersText, waitText)
	b.leaves = true
	return b
}

// answersText says in width columns what a service does.
func answersText(s Snapshot, width int) string {
	rate := ""
	if s.FilesPerSecond > 0 {
		rate = human.Rate(s.FilesPerSecond)
	}
	line, _ := fit([]part{
		{text: human.Plural(s.Delivered, "answer"), rank: 0}, {text: rate, rank: 2},
		{text: human.Some(s.InFlight, "in flight"), rank: 3},
		{text: human.Some(s.Waiting, "waiting"), rank: 1},
	}, width)
	return strings.Join(line, gap)
}

// waitText says in width columns why a service does no more, and the pace that was found.
func waitText(s Snapshot, width int) string {
	s.InFlight = 0 // is in the other line
	return holdingText(s, width)
}
