package progress

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/penstock/penstock/internal/human"
)

// bar is two lines that are drawn over and over: how far the run is, and why it is not faster. mpb
// keeps them below the log and knows the terminal; what the lines say is ours, because mpb's own
// decorators cut off whatever does not fit instead of choosing.
//
// When a terminal gets narrower it may wrap the lines that are there, and a piece of that stays
// behind. It is not cleared: terminals that do not wrap would lose a line of the log instead.
type bar struct {
	f       *os.File
	p       *mpb.Progress
	done    *mpb.Bar // the first line
	holding *mpb.Bar // the second
	closing sync.Once

	mu     sync.Mutex
	s      Snapshot
	drawn  bool // there is something to show
	leaves bool // nothing stays when it is closed
	closed bool
}

func newBar(f *os.File, refresh time.Duration, first, second func(Snapshot, int) string) *bar {
	b := &bar{f: f}
	b.p = mpb.New(mpb.WithOutput(f), mpb.WithRefreshRate(refresh))
	b.done = b.p.MustAdd(0, b.filler(first), mpb.BarFillerTrim())
	b.holding = b.p.MustAdd(0, b.filler(second), mpb.BarFillerTrim())
	return b
}

func (b *bar) filler(text func(Snapshot, int) string) mpb.BarFillerFunc {
	return func(w io.Writer, stat decor.Statistics) error {
		b.mu.Lock()
		s, drawn, closed := b.s, b.drawn, b.closed
		b.mu.Unlock()
		if !drawn {
			return nil
		}
		if closed {
			// The line that stays speaks of the whole run.
			s.ETA = 0
			if t := s.Elapsed.Seconds(); t > 0 {
				s.FilesPerSecond, s.BytesPerSecond = s.done().files/t, float64(s.DeliveredBytes)/t
			}
		}
		// A line that fills the last column wraps on some terminals. A terminal that shows ^C
		// leaves the cursor behind it, and mpb clears only what is to the right of that.
		_, err := io.WriteString(w, lineStart+text(s, stat.AvailableWidth-1))
		return err
	}
}

func (b *bar) Update(s Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s, b.drawn = s, true
}

func (b *bar) Log(line string) {
	text := lineStart + talk(line, human.Width(b.f))
	if _, err := io.WriteString(b.p, text); err != nil {
		_, _ = io.WriteString(b.f, text) // closed: no bar is in the way
	}
}

func (b *bar) Close() {
	b.closing.Do(func() {
		b.mu.Lock()
		b.closed = true
		drop := !b.drawn || b.leaves
		b.mu.Unlock()
		b.holding.Abort(true)
		b.done.Abort(drop)
		b.p.Wait()
	})
}

// lineStart goes to the beginning of a line, whose rest mpb has cleared.
const lineStart = "\r"

// The gauge is at least so wide, or left out; in a wide terminal it is wider, but no wider than
// maxBar.
const (
	minBar  = 6
	someBar = 10
	maxBar  = 30
)

// A part is a piece of a line, in the order of the line. Those with a low rank stay as the terminal
// gets narrow.
type part struct {
	text string
	rank int
	// most is how many columns the part needs at most while the run goes on. These are reserved,
	// also while text is shorter or empty: else the parts with a higher rank would come and go.
	most int
	// cut shortens text to n columns; if nil, the part is left out where it does not fit.
	cut func(text string, n int) string
}

const gap = "  "

// fit puts as many parts into width columns as there is room for, and returns them with the columns
// that are left.
func fit(parts []part, width int) (line []string, room int) {
	keep := make([]bool, len(parts))
	room = width + len(gap)
	for rank := range parts {
		for i := range parts {
			p := &parts[i]
			if p.rank != rank {
				continue
			}
			if p.cut != nil && len(p.text)+len(gap) > room {
				p.text = p.cut(p.text, room-len(gap))
			}
			n := max(len(p.text), p.most)
			if n > 0 && n+len(gap) <= room {
				keep[i] = p.text != ""
				room -= len(gap) + n
			}
		}
	}
	for i, p := range parts {
		if keep[i] {
			line = append(line, p.text)
		}
	}
	return line, room
}

// The columns that parts of the line need at most.
const (
	mostPercent = len("100 %")
	mostSize    = len("1023 KiB")
	mostSpeed   = mostSize + len("/s")
	mostRate    = len("0.086 files/s")
	mostETA     = len("ETA 59 m 59 s")
)

// doneText says in width columns, all of them ASCII, how far a run is: by bytes where the time goes
// with these, else by files. The percentage is of the counter after it. Both counters stay longer
// than the rate, which people need less.
func doneText(s Snapshot, width int) string {
	n := min(max(someBar, width/8), maxBar)
	shorter := func(_ string, n int) string { return barGauge(s, n) }
	gauge := part{text: barGauge(s, n), rank: 5, cut: shorter}
	share, eta := part{text: percent(s), rank: 4}, part{text: barETA(s), rank: 2}
	if share.text != "" {
		share.most, eta.most = mostPercent, mostETA
	}
	files := part{text: barFiles(s), rank: 0, most: 2*len(human.Count(s.Total)) + len("/ files")}
	bytes := part{text: barBytes(s), rank: 3, most: mostBytes(s)}
	perFile := part{text: human.PerSecond(s.FilesPerSecond, "files"), rank: 6, most: mostRate}
	perByte := part{text: human.Speed(s.BytesPerSecond), rank: 6, most: mostSpeed}
	troubles := part{text: barTroubles(s), rank: 1, cut: ellipsis}
	parts := []part{gauge, share, files, troubles, perFile, bytes, eta}
	if s.ByBytes {
		files.rank, bytes.rank = bytes.rank, files.rank
		if parts = []part{gauge, share, bytes, perByte, files, troubles, eta}; s.smallLeft() {
			parts = []part{gauge, share, bytes, files, troubles, perFile, eta}
		}
	}
	line, _ := fit(parts, width)
	return strings.Join(line, gap)
}

// smallLeft reports whether only small files are left, whose bytes a second say nothing.
func (s *Snapshot) smallLeft() bool {
	files := s.Total - s.Ended()
	return files > 0 && len(s.Underway) == 0 && (s.TotalBytes-s.Bytes-s.LostBytes)/files < smallMean
}

// holdingText says in width columns why a run is not faster, and which files are under way.
func holdingText(s Snapshot, width int) string {
	holding := ascii(human.Printable(s.Holding))
	learned, inFlight := s.learned(), ""
	told := func(words string) bool { return strings.Contains(holding, words) }
	if s.InFlight > 0 && learned.InFlight == 0 && !told("in flight") && !told("sending ") &&
		!told("waiting for the ") {
		inFlight = human.Count(int64(s.InFlight)) + " in flight"
	}
	line, room := fit([]part{
		{text: holding, rank: 0, cut: briefly},
		{text: learned.String(), rank: 1}, {text: inFlight, rank: 2},
	}, width)
	for _, u := range s.Underway {
		text := u.String()
		if len(text)+len(gap) > room {
			break
		}
		line = append(line, text)
		room -= len(text) + len(gap)
	}
	return strings.Join(line, gap)
}

// maxName is how much of a file's name the progress shows.
const maxName = 24

// String returns the file's name and how much of it is sent, in ASCII.
func (u Underway) String() string {
	name := ellipsis(ascii(human.Printable(u.Name)), maxName)
	return fmt.Sprintf("%s %d %%", name, human.Percent(u.Done, u.Size))
}

// percent is how much is done of what the time goes with, if that is known.
func percent(s Snapshot) string {
	if done, total := s.progress(); s.KnownTotal && total > 0 {
		return strconv.FormatInt(human.Percent(done, total), 10) + " %"
	}
	return ""
}

func barFiles(s Snapshot) string {
	switch {
	case s.KnownTotal:
		return human.Count(s.finished()) + "/" + human.Count(s.Total) + " files"
	case s.Total > s.finished():
		return human.Count(s.finished()) + "/" + human.Count(s.Total) + "+ files"
	}
	return human.Plural(s.finished(), "file")
}

func barTroubles(s Snapshot) string {
	switch all := s.Failed + s.Unknown + s.Deferred; all {
	case 0:
		return ""
	case s.Failed:
		return human.Count(all) + " failed"
	case s.Unknown:
		return human.Count(all) + " unknown"
	case s.Deferred:
		return human.Count(all) + " deferred"
	default:
		return human.Count(all) + " not delivered"
	}
}

func barBytes(s Snapshot) string {
	if s.KnownTotal && s.TotalBytes > 0 {
		return human.Sizes(s.Bytes, s.TotalBytes)
	}
	return human.Size(s.Bytes)
}

// mostBytes is how many columns barBytes needs at most.
func mostBytes(s Snapshot) int {
	if s.KnownTotal && s.TotalBytes > 0 {
		total := human.Size(s.TotalBytes)
		number, _, _ := strings.Cut(total, " ")
		return max(len(number), len("9.9")) + len("/") + len(total)
	}
	return mostSize
}

func barETA(s Snapshot) string {
	if s.ETA < time.Second/2 {
		return ""
	}
	return "ETA " + human.Clock(s.ETA)
}

// barGauge draws how much is done into n columns, or nothing where these are too few.
func barGauge(s Snapshot, n int) string {
	done, total := s.progress()
	if !s.KnownTotal || total <= 0 || n < minBar {
		return ""
	}
	inner := n - 2
	filled := int(min(1, float64(done)/float64(total)) * float64(inner))
	body := strings.Repeat("=", filled)
	if filled > 0 && filled < inner {
		body = body[1:] + ">"
	}
	return "[" + body + strings.Repeat(" ", inner-filled) + "]"
}

// ellipsis shortens s to n columns, or to nothing if too little would be left.
func ellipsis(s string, n int) string {
	switch {
	case len(s) <= n:
		return s
	case n < 8:
		return ""
	}
	return s[:n-3] + "..."
}

// inBrackets is a reason within a clause.
var inBrackets = regexp.MustCompile(` \([^()]*\)`)

// briefly shortens what holds a run back to n columns. Clauses that come later say less, and a
// reason says less than a time.
func briefly(s string, n int) string {
	without := func(separator string) {
		for len(s) > n {
			i := strings.LastIndex(s, separator)
			if i < 0 {
				return
			}
			s = s[:i]
		}
	}
	without("; ")
	if len(s) > n {
		s = inBrackets.ReplaceAllString(s, "")
	}
	without(", ")
	return ellipsis(s, n)
}

// ascii makes every character one column wide.
func ascii(s string) string {
	s = strings.ReplaceAll(s, "→", "->")
	return strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, s)
}
