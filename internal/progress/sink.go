package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/penstock/penstock/internal/human"
)

// A Sink shows a run while it goes on. All methods are safe for concurrent
// use. Update is cheap and meant to be called a few times a second, by the
// clock and never by the item: how often something is shown is the sink's own
// business.
type Sink interface {
	Update(Snapshot)
	// Log prints lines of talk without tearing what is shown. It also works
	// after Close.
	Log(line string)
	// Close leaves the output at the beginning of a line. Only the first call
	// does something.
	Close()
}

// New returns the sink of that kind, writing to w: "bar", "line",
// "json", "none", or "auto", which is a bar on a terminal and lines elsewhere.
// A bar that cannot be drawn, because w is no terminal or a dumb one
// (TERM=dumb), becomes lines as well. Nothing is ever coloured.
func New(kind string, w io.Writer) (Sink, error) {
	switch kind {
	case "auto", "bar":
		if CanDraw(w) {
			return newBar(w.(*os.File)), nil
		}
		return newLines(w), nil
	case "line":
		return newLines(w), nil
	case "json":
		return newJSONLines(w), nil
	case "none":
		return &silent{w: w}, nil
	}
	return nil, fmt.Errorf("progress %q is not known: use auto, bar, line, json or none", kind)
}

// CanDraw reports whether w is a terminal that a bar can be drawn on.
func CanDraw(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// silent shows nothing, but talk still goes out.
type silent struct {
	mu sync.Mutex // keeps lines whole
	w  io.Writer
}

func (s *silent) Update(Snapshot) {}
func (s *silent) Close()          {}

func (s *silent) Log(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	writeTalk(s.w, line)
}

// writeTalk writes talk to w: on a terminal in lines that fit, elsewhere with the time before it. What programs write for
// programs has its own.
func writeTalk(w io.Writer, line string) {
	width := human.Width(w)
	if width == 0 && !strings.HasPrefix(line, "{") {
		line = stamp(time.Now()) + " " + line
	}
	_, _ = io.WriteString(w, talk(line, width))
}

// stamp writes the time as logs have it.
func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05") }

// talk makes a line, or several, safe for a terminal of that width and ends it.
func talk(s string, width int) string {
	lines := strings.Split(strings.TrimRight(s, "\r\n"), "\n")
	for i, l := range lines {
		lines[i] = human.Wrap(human.Printable(l), width)
	}
	return strings.Join(lines, "\n") + "\n"
}
