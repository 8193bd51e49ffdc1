package report

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

// Snapshot is the state of a run at an instant. Tally.Snapshot makes it, the
// caller adds what it knows, a Meter completes it.
type Snapshot struct {
	Total int64 // items known of
	// KnownTotal is false while the source may still yield items.
	KnownTotal bool

	// Items that ended, by how.
	Delivered, Failed, Unknown, Skipped, Deferred int64

	Bytes          int64 // of the items that were delivered or skipped, and of those under way as far as they are known
	SkippedBytes   int64 // of these, of items that were skipped
	DeliveredBytes int64 // the others of these
	LostBytes      int64 // of the items that ended in any other way: how many of them were sent is not known
	TotalBytes     int64 // of all items known of; 0 if sizes are not known
	Largest        int64 // of these, that of the largest; 0 if it is not known

	Sent, Accepted    int64 // requests on the wire, and of these
	Refused           int64 // throttled, overloaded or timed out
	InFlight, Waiting int
	Latency           time.Duration // of accepted requests, lately; 0 if there were none

	Ceiling       float64 // requests a second that are allowed at present; 0: any
	InFlightLimit int     // requests in flight that are; 0: any
	Learned       Learned // of these, what nobody gave
	Limit         Limit   // what holds the run back
	Adaptive      bool    // how many may be in flight is found out, not given
	Growing       bool    // it is, and the server has neither slowed down nor refused yet
	Stopping      bool    // nothing new is sent any more
	Silent        bool    // that is a server that does not answer, and is not known to be down
	// Pause is how long the cool-down that is in force still lasts; 0 if there is none.
	Pause time.Duration
	// Holding is Limit in words: "held by your --rps 4", "paused 12 s: Retry-After".
	Holding string

	Underway []Underway // of the large files that are on their way, the largest first

	Elapsed time.Duration

	Rate           float64       // requests a second, over the last seconds
	FilesPerSecond float64       // that ended, over the last seconds
	BytesPerSecond float64       // over the last seconds
	ByBytes        bool          // the time goes with the bytes, and not with the files
	ETA            time.Duration // time left; 0 if that is unknown or nothing is left
}

// Underway is a file that is being sent.
type Underway struct {
	Name       string
	Done, Size int64 // bytes
}

func (s *Snapshot) ended() int64 {
	return s.Delivered + s.Failed + s.Unknown + s.Skipped + s.Deferred
}

// finished counts the items that need nothing more. Those that are deferred do.
func (s *Snapshot) finished() int64 { return s.ended() - s.Deferred }

// progress is how much of what is done, in bytes or files, whichever the time goes with.
func (s *Snapshot) progress() (done, total int64) {
	if s.ByBytes {
		return s.Bytes, s.TotalBytes
	}
	return s.finished(), s.Total
}

// learned is what was learned and matters now: where nothing holds the run back, how many are in flight is no limit.
func (s *Snapshot) learned() Learned {
	l := s.Learned
	if s.Limit == NoLimit {
		l.InFlight = 0
	}
	return l
}

// stopped reports whether nothing can be sent at all at present.
func (s *Snapshot) stopped() bool { return s.Limit == LimitCoolDown || s.Limit == LimitDown }

// Progress shows a run while it goes on. All methods are safe for concurrent
// use. Update is cheap and meant to be called a few times a second, by the
// clock and never by the item: how often something is shown is the sink's own
// business.
type Progress interface {
	Update(Snapshot)
	// Log prints lines of talk without tearing what is shown. It also works
	// after Close.
	Log(line string)
	// Close leaves the output at the beginning of a line. Only the first call
	// does something.
	Close()
}

// NewProgress returns the sink of that kind, writing to w: "bar", "line",
// "json", "none", or "auto", which is a bar on a terminal and lines elsewhere.
// A bar that cannot be drawn, because w is no terminal or a dumb one
// (TERM=dumb), becomes lines as well. Nothing is ever coloured.
func NewProgress(kind string, w io.Writer) (Progress, error) {
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
	return nil, fmt.Errorf("report: progress %q is not known: use auto, bar, line, json or none", kind)
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
	width := widthOf(w)
	if width == 0 && !strings.HasPrefix(line, "{") {
		line = stamp(time.Now()) + " " + line
	}
	_, _ = io.WriteString(w, talk(line, width))
}

// stamp writes the time as logs have it.
func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05") }

// widthOf is the width of the terminal that w is; 0 if it is none.
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// talk makes a line, or several, safe for a terminal of that width and ends it.
func talk(s string, width int) string {
	lines := strings.Split(strings.TrimRight(s, "\r\n"), "\n")
	for i, l := range lines {
		lines[i] = human.Wrap(human.Printable(l), width)
	}
	return strings.Join(lines, "\n") + "\n"
}
