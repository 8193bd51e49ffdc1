package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/human"
)

const (
	lineEvery = 30 * time.Second
	// firstLine is when the first line is written: soon, since people look whether a run that they have started runs.
	firstLine = 5 * time.Second
)

// lines writes a line after 5 s and then each 30 s, for logs and for pipes, and one when a pause
// begins: without it, a log that ends in silence tells nobody why. A server
// that asks for a pause each second does not get a line each second.
type lines struct {
	w io.Writer

	mu        sync.Mutex
	due       time.Time // of the next line
	pauseDue  time.Time // before then, a pause begins without a line
	stoppedBy Limit     // of the pause we are in
}

func newLines(w io.Writer) *lines {
	return &lines{w: w, due: time.Now().Add(firstLine)}
}

func (l *lines) Update(s Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var stoppedBy Limit
	if s.stopped() {
		stoppedBy = s.Limit
	}
	began := stoppedBy != NoLimit && stoppedBy != l.stoppedBy
	switch {
	case !now.Before(l.due):
	case began && !now.Before(l.pauseDue):
		l.pauseDue = now.Add(lineEvery)
	case began:
		// Not told yet: it will be if it outlasts pauseDue.
		return
	default:
		l.stoppedBy = stoppedBy
		return
	}
	l.stoppedBy = stoppedBy
	l.due = now.Add(lineEvery)
	writeTalk(l.w, lineText(s))
}

func (l *lines) Log(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	writeTalk(l.w, line)
}

func (l *lines) Close() {}

func lineText(s Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", human.Clock(s.Elapsed))
	files, bytes := filesText(s), human.Size(s.Bytes)
	if s.KnownTotal && s.TotalBytes > 0 {
		bytes += " of " + human.Size(s.TotalBytes)
	}
	main, other := files, bytes
	if s.ByBytes {
		main, other = bytes, files
	}
	if s.KnownTotal && s.Total > 0 {
		fmt.Fprintf(&b, "%d %%, ", human.Percent(s.progress()))
	}
	fmt.Fprintf(&b, "%s; %s", main, other)
	fmt.Fprintf(&b, "; %s, %s", human.PerSecond(s.FilesPerSecond, "files"), human.Speed(s.BytesPerSecond))
	learned := s.learned()
	if learned.InFlight == 0 { // else one number of them is enough
		fmt.Fprintf(&b, ", %d in flight", s.InFlight)
	}
	for _, text := range []string{learned.String(), human.Printable(s.Holding)} {
		if text != "" {
			fmt.Fprintf(&b, "; %s", text)
		}
	}
	if s.ETA > 0 {
		fmt.Fprintf(&b, "; %s left", human.Clock(s.ETA))
	}
	return b.String()
}

// filesText says how many files are done, and how many of these are not delivered.
func filesText(s Snapshot) string {
	text := human.Plural(s.finished(), "file")
	if s.KnownTotal && s.Total > 0 {
		text = human.Count(s.finished()) + " of " + human.Plural(s.Total, "file")
	}
	for _, part := range []struct {
		n    int64
		name string
	}{
		{s.Failed, "failed"}, {s.Unknown, "unknown"}, {s.Skipped, "skipped"}, {s.Deferred, "deferred"},
	} {
		if part.n > 0 {
			text += fmt.Sprintf(", %s %s", human.Count(part.n), part.name)
		}
	}
	return text
}
