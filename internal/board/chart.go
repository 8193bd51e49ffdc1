package board

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/human"
)

// A Chart shows how requests to a server went in time.
type Chart struct {
	Step    time.Duration // of a sample
	Samples []Sample
	Started time.Time // of the first sample; if zero, the last one is now
	Peaks   bool      // no more was in flight between two looks than was seen
}

// Fewer returns a chart of at most n samples, each of several of c.
func (c Chart) Fewer(n int) Chart {
	each := (len(c.Samples) + n - 1) / n
	if each <= 1 {
		return c
	}
	fewer := Chart{Step: c.Step * time.Duration(each), Started: c.Started, Peaks: c.Peaks}
	for i, s := range c.Samples {
		if i%each == 0 {
			fewer.Samples = append(fewer.Samples, Sample{})
		}
		fewer.Samples[i/each].add(s)
	}
	return fewer
}

// From says where the chart begins.
func (c Chart) From() string {
	if c.Started.IsZero() {
		return ago(c.span())
	}
	return c.instant(0)
}

// To says where the chart ends.
func (c Chart) To() string {
	if c.Started.IsZero() {
		return "now"
	}
	return c.instant(len(c.Samples))
}

func (c Chart) span() time.Duration { return c.Step * time.Duration(len(c.Samples)) }

// ago says how long ago something was. On an axis an m would be taken for a metre.
func ago(d time.Duration) string {
	return strings.Replace(human.Span(d), " m", " min", 1) + " ago"
}

// instant is when a sample of a finished run began.
func (c Chart) instant(i int) string {
	at := c.Started.Add(c.Step * time.Duration(i))
	return human.InstantSeconds(at, c.Started)
}

// A plot is a quantity that is shown of a sample. Its path, for SVG, is in a box that is as wide as
// there are samples, and 100 high.
type plot func(Sample) float64

var (
	sent     plot = func(s Sample) float64 { return float64(s.Sent) / s.Seconds }
	accepted plot = func(s Sample) float64 { return float64(s.Accepted) / s.Seconds }
	// Those below are stacked.
	refused plot = func(s Sample) float64 { return float64(s.Accepted+s.Refused) / s.Seconds }
	failed  plot = func(s Sample) float64 {
		return float64(s.Accepted+s.Refused+s.Failed) / s.Seconds
	}
	pace plot = func(s Sample) float64 {
		if paused(s)+down(s) > 0 { // what would be allowed then does not matter
			return 0
		}
		return s.Rate
	}
	inFlight plot = func(s Sample) float64 { return float64(s.InFlight) }
	latency  plot = func(s Sample) float64 { return s.Latency }
	// 1 if it was for most of the time
	paused plot = func(s Sample) float64 { return math.Round(s.Paused / s.Seconds) }
	down   plot = func(s Sample) float64 { return math.Round(s.Down / s.Seconds) }
)

// most returns the largest value of the plots.
func (c Chart) most(plots ...plot) (most float64) {
	for _, s := range c.Samples {
		if s.Seconds == 0 {
			continue
		}
		for _, of := range plots {
			most = max(most, of(s))
		}
	}
	return most
}

// top returns a round number that is not less than what is shown.
func top(most float64) float64 {
	if most <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, n := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8} {
		if n*unit >= most {
			return n * unit
		}
	}
	return 10 * unit
}

// area returns the path of the area below a plot; "" if it has none.
func (c Chart) area(of plot, top float64) string {
	if c.most(of) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("M0 100")
	y, drawn := "100", 0
	for i, s := range c.Samples {
		height := 0.0
		if s.Seconds > 0 {
			height = of(s)
		}
		if at := coordinate(100 - 100*height/top); at != y {
			move(&b, drawn, i)
			b.WriteString("V" + at)
			y, drawn = at, i
		}
	}
	move(&b, drawn, len(c.Samples))
	b.WriteString("V100z")
	return b.String()
}

// line returns the path of a plot's line, which has gaps where it is zero.
func (c Chart) line(of plot, top float64) string {
	var b strings.Builder
	y, drawn := "", 0
	for i, s := range c.Samples {
		at := ""
		if s.Seconds > 0 && of(s) > 0 {
			at = coordinate(100 - 100*of(s)/top)
		}
		if at == y {
			continue
		}
		if y != "" {
			move(&b, drawn, i)
		}
		switch {
		case at == "":
		case y == "":
			b.WriteString("M" + strconv.Itoa(i) + " " + at)
		default:
			b.WriteString("V" + at)
		}
		y, drawn = at, i
	}
	if y != "" {
		move(&b, drawn, len(c.Samples))
	}
	return b.String()
}

// move draws a horizontal line, unless it would have no length.
func move(b *strings.Builder, from, to int) {
	if from < to {
		b.WriteString("H" + strconv.Itoa(to))
	}
}

func coordinate(f float64) string { return strconv.Itoa(int(math.Round(f))) }

// A drawing is a chart as the page has it: paths, and the numbers at their tops. Those that show
// nothing are empty.
type drawing struct {
	Chart
	Top, InFlightTop, LatencyTop          string
	Sent, Accepted, Refused, Failed, Pace string
	Paused, Down, InFlight, Latency       string
	Rows                                  []row
}

func (c Chart) draw() drawing {
	highest := c.most(sent, failed)
	most := highest
	// A limit that is far away would make all else small.
	if limit := c.most(pace); limit <= 2*highest {
		most = max(most, limit)
	}
	high, crowd, slow := top(most), math.Ceil(top(c.most(inFlight))), top(c.most(latency))
	d := drawing{
		Chart: c, Top: human.PerSecond(high, ""), InFlightTop: human.Count(int64(crowd)),
		LatencyTop: human.Span(human.Seconds(slow)),
		Sent:       c.line(sent, high), Accepted: c.area(accepted, high),
		Pace: c.line(pace, high), Paused: c.area(paused, 1), Down: c.area(down, 1),
		InFlight: c.area(inFlight, crowd), Latency: c.line(latency, slow), Rows: c.rows(),
	}
	var all Sample
	for _, s := range c.Samples {
		all.add(s)
	}
	if all.Refused > 0 { // else it is the area of those below it
		d.Refused = c.area(refused, high)
	}
	if all.Failed > 0 {
		d.Failed = c.area(failed, high)
	}
	return d
}

// A row is a part of a chart in a table.
type row struct {
	When string
	Sample
}

// rows returns the chart as a table, the newest first, without the time of which nothing is known.
func (c Chart) rows() (rows []row) {
	short := c.Fewer(10)
	for i := len(short.Samples) - 1; i >= 0; i-- {
		s := short.Samples[i]
		if s.Seconds == 0 {
			continue
		}
		r := row{Sample: s}
		switch before := short.Step * time.Duration(len(short.Samples)-1-i); {
		case !c.Started.IsZero():
			r.When = short.instant(i)
		case before == 0:
			r.When = "last " + human.Span(short.Step)
		default:
			r.When = "to " + ago(before)
		}
		rows = append(rows, r)
	}
	return rows
}
