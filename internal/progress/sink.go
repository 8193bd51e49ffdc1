package progress

import (
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/penstock/penstock/internal/human"
)

// A Sink shows a run while it goes on. All methods are safe for concurrent use. Update is cheap and
// meant to be called a few times a second, by the clock and never by the item: how often something
// is shown is the sink's own business.
type Sink interface {
	Update(Snapshot)
	// Log prints lines of the log without tearing what is shown. It also works after Close.
	Log(line string)
	// Close leaves the output at the beginning of a line. Only the first call does something.
	Close()
}

// New returns the sink of that kind, writing to w: "bar", "line", "json", "none", or "auto", which
// is a bar on a terminal and lines elsewhere. A bar that cannot be drawn, because w is no terminal
// or a dumb one (TERM=dumb), becomes lines as well. Nothing is ever coloured.
func New(kind string, w io.Writer) Sink {
	switch {
	case kind == "none":
		return &plain{w: w}
	case kind == "json":
		return newJSONLines(w)
	case kind != "line" && CanDraw(w):
		return newBar(w.(*os.File), 150*time.Millisecond, doneText, holdingText)
	}
	return newLines(w)
}

// CanDraw reports whether w is a terminal that a bar can be drawn on.
func CanDraw(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// plain prints the log and shows no progress.
type plain struct {
	mu sync.Mutex // keeps lines whole
	w  io.Writer
}

func (p *plain) Update(Snapshot) {}
func (p *plain) Close()          {}

func (p *plain) Log(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logLocked(line)
}

// logLocked writes the log: on a terminal in lines that fit, elsewhere with the time before it.
// What programs write for programs has its own.
func (p *plain) logLocked(line string) {
	width := human.Width(p.w)
	if width == 0 && !strings.HasPrefix(line, "{") {
		line = time.Now().Format(time.DateTime) + " " + line
	}
	text := talk(line, width)
	if width > 0 { // a terminal that shows ^C leaves the cursor behind it
		text = lineStart + text
	}
	_, _ = io.WriteString(p.w, text)
}

// talk makes a line, or several, safe for a terminal of that width and ends it.
func talk(s string, width int) string {
	lines := strings.Split(strings.TrimRight(s, "\r\n"), "\n")
	for i, l := range lines {
		lines[i] = human.Wrap(human.Printable(l), width)
	}
	return strings.Join(lines, "\n") + "\n"
}
