package progress

import (
	"fmt"
	"io"
	"time"

	"github.com/penstock/penstock/internal/human"
)

const (
	lineEvery = 30 * time.Second
	// firstLine is when the first line is written: soon, since people look whether a run that they
	// have started runs.
	firstLine = 5 * time.Second
	// rateSoonest is how long a run must have lasted before a line gives its rates: those of the
	// first answers, which come together, say nothing.
	rateSoonest = 3 * time.Second
)

// lines writes a line after 5 s and then each 30 s, for logs and for pipes, and one when a pause
// begins: without it, a log that ends in silence does not say why. A server that asks for a pause
// each second does not get a line each second.
type lines struct {
	plain               // its mu protects what follows
	due       time.Time // of the next line
	pauseDue  time.Time // before then, a pause begins without a line
	stoppedBy Limit     // of the pause we are in
}

func newLines(w io.Writer) *lines {
	return &lines{plain: plain{w: w}, due: time.Now().Add(firstLine)}
}

func (l *lines) Update(s Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	was := l.stoppedBy
	l.stoppedBy = NoLimit
	if s.stopped() {
		l.stoppedBy = s.Limit
	}
	switch began := s.stopped() && s.Limit != was; {
	case !now.Before(l.due):
	case !began:
		return
	case now.Before(l.pauseDue):
		l.stoppedBy = was // it is shown if it outlasts pauseDue
		return
	default:
		l.pauseDue = now.Add(lineEvery)
	}
	l.due = now.Add(lineEvery)
	l.logLocked(lineText(s))
}

func lineText(s Snapshot) string {
	files, bytes := filesText(s), human.Size(s.Bytes)
	if s.KnownTotal && s.TotalBytes > 0 {
		bytes += " of " + human.Size(s.TotalBytes)
	}
	if s.ByBytes {
		files, bytes = bytes, files
	}
	inFlight, left := "", ""
	learned := s.learned()
	if learned.InFlight == 0 { // else one number of them is enough
		inFlight = fmt.Sprintf("%d in flight", s.InFlight)
	}
	if s.ETA > 0 {
		left = human.Clock(s.ETA) + " left"
	}
	perFile, perByte := "", ""
	if s.Elapsed >= rateSoonest {
		perFile = human.PerSecond(s.FilesPerSecond, "files")
		perByte = human.Speed(s.BytesPerSecond)
	}
	return human.Clock(s.Elapsed) + ": " + human.Join("; ",
		human.Join(", ", percent(s), files), bytes, human.Join(", ", perFile, perByte, inFlight),
		learned.String(), human.Printable(s.Holding), left)
}

// filesText says how many files are done, and how many of these are not delivered.
func filesText(s Snapshot) string {
	text := human.Plural(s.finished(), "file")
	if s.KnownTotal && s.Total > 0 {
		text = human.Count(s.finished()) + " of " + human.Plural(s.Total, "file")
	}
	return human.Join(", ", text, human.Some(s.Failed, "failed"), human.Some(s.Unknown, "unknown"),
		human.Some(s.Skipped, "skipped"), human.Some(s.Deferred, "deferred"))
}
