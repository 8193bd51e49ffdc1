package report

import (
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bar is one line that is drawn over and over. mpb keeps it below the talk and
// knows the terminal; what the line says is ours, because mpb's own decorators
// cut off whatever does not fit instead of choosing.
//
// When a terminal gets narrower it may wrap the line that is there, and a
// piece of that stays behind. It is not cleared: terminals that do not wrap
// would lose a line of talk instead.
type bar struct {
	w       io.Writer
	p       *mpb.Progress
	b       *mpb.Bar
	closing sync.Once

	mu     sync.Mutex
	s      Snapshot
	drawn  bool // there is something to show
	closed bool
}

func newBar(f *os.File) *bar {
	b := &bar{w: f}
	b.p = mpb.New(mpb.WithOutput(f), mpb.WithRefreshRate(150*time.Millisecond))
	b.b = b.p.MustAdd(0, mpb.BarFillerFunc(b.fill), mpb.BarFillerTrim())
	return b
}

func (b *bar) fill(w io.Writer, stat decor.Statistics) error {
	b.mu.Lock()
	s, drawn, closed := b.s, b.drawn, b.closed
	b.mu.Unlock()
	if !drawn {
		return nil
	}
	if closed {
		// The line that stays speaks of the whole run.
		s.Holding, s.Learned, s.ETA, s.InFlight = "", Learned{}, 0, 0
		if s.Elapsed > 0 {
			s.Rate = float64(s.Sent) / s.Elapsed.Seconds()
		}
	}
	// A line that fills the last column wraps on some terminals.
	_, err := io.WriteString(w, barText(s, stat.AvailableWidth-1))
	return err
}

func (b *bar) Update(s Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s, b.drawn = s, true
}

func (b *bar) Log(line string) {
	// A terminal that shows ^C leaves the cursor behind it, and mpb clears only
	// what is to the right of that.
	text := "\r" + talk(line)
	if _, err := io.WriteString(b.p, text); err != nil {
		_, _ = io.WriteString(b.w, text) // closed: no bar is in the way
	}
}

func (b *bar) Close() {
	b.closing.Do(func() {
		b.mu.Lock()
		b.closed = true
		drop := !b.drawn
		b.mu.Unlock()
		b.b.Abort(drop)
		b.p.Wait()
	})
}

const (
	minBar = 10
	maxBar = 30
)

// barText fits a snapshot into width columns, all of them ASCII. What a person
// needs most stays longest as the terminal gets narrow: how many are done, what
// went wrong, why it is not faster, when it ends.
func barText(s Snapshot, width int) string {
	const gap = "  "
	// In the order of the line, each with its rank.
	parts := []struct {
		text string
		rank int
		cut  bool // rather shortened than left out
	}{
		{text: barGauge(s, minBar), rank: 7},
		{text: barCount(s), rank: 0},
		{text: barTroubles(s), rank: 1, cut: true},
		{text: barBytes(s), rank: 6},
		{text: perSecond(s.Rate), rank: 5},
		{text: barETA(s), rank: 3},
		{text: s.Learned.String(), rank: 4},
		{text: ascii(printable(s.Holding)), rank: 2, cut: true},
		{text: barInFlight(s), rank: 8},
	}
	keep := make([]bool, len(parts))
	room := width + len(gap)
	for rank := range parts {
		for i := range parts {
			p := &parts[i]
			if p.rank != rank {
				continue
			}
			if p.cut && len(p.text)+len(gap) > room {
				p.text = ellipsis(p.text, room-len(gap))
			}
			if p.text != "" && len(p.text)+len(gap) <= room {
				keep[i] = true
				room -= len(gap) + len(p.text)
			}
		}
	}
	var line []string
	for i, p := range parts {
		switch {
		case !keep[i]:
		case i == 0:
			line = append(line, barGauge(s, min(minBar+room, maxBar)))
		default:
			line = append(line, p.text)
		}
	}
	return strings.Join(line, gap)
}

func barCount(s Snapshot) string {
	switch {
	case s.KnownTotal:
		return count(s.ended()) + "/" + count(s.Total)
	case s.Total > s.ended():
		return count(s.ended()) + "/" + count(s.Total) + "+"
	}
	return count(s.ended()) + " done"
}

func barTroubles(s Snapshot) string {
	switch all := s.Failed + s.Unknown + s.Deferred; all {
	case 0:
		return ""
	case s.Failed:
		return count(all) + " failed"
	case s.Unknown:
		return count(all) + " unknown"
	case s.Deferred:
		return count(all) + " deferred"
	default:
		return count(all) + " not delivered"
	}
}

func barBytes(s Snapshot) string {
	if s.KnownTotal && s.TotalBytes > 0 {
		return size(s.DeliveredBytes) + "/" + size(s.TotalBytes)
	}
	return size(s.DeliveredBytes)
}

func barETA(s Snapshot) string {
	if s.ETA <= 0 {
		return ""
	}
	return "ETA " + Clock(s.ETA)
}

func barInFlight(s Snapshot) string {
	if s.InFlight == 0 {
		return ""
	}
	return count(int64(s.InFlight)) + " in flight"
}

// barGauge draws how much is done into n columns.
func barGauge(s Snapshot, n int) string {
	if !s.KnownTotal || s.Total <= 0 {
		return ""
	}
	inner := n - 2
	filled := int(min(1, float64(s.ended())/float64(s.Total)) * float64(inner))
	body := strings.Repeat("=", filled)
	if filled > 0 && filled < inner {
		body = body[1:] + ">"
	}
	return "[" + body + strings.Repeat(" ", inner-filled) + "]"
}

// ellipsis shortens s to n columns, or to nothing if too little would be left.
func ellipsis(s string, n int) string {
	if n < 8 {
		return ""
	}
	return s[:n-3] + "..."
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
