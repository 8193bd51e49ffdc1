package matrix

import (
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/penstock/penstock/internal/race"
)

var (
	seeds  = flag.Int("seeds", 1, "seeds of each cell; the worst counts")
	first  = flag.Uint64("seed", 1, "the first of them")
	only   = flag.String("cells", "", "regular expression of the whole name of the cells to run")
	table  = flag.Bool("table", false, "print the matrix")
	strict = flag.Bool("goals", true,
		"what is worse than its goal, or than how far it is known to fall short of it, fails "+
			"the test")
	lines = flag.String("lines", "",
		"write the time lines of the cells to this file, with tabs between columns")
	inFlight = flag.Int("inflight", 0, "give our clients this limit, to try a server")
)

// A column of the table.
type column struct {
	head  string
	least bool // the worst of the seeds is the least
	value func(*measures) float64
	print string
}

// fails reports whether a value does not reach a goal, if there is one.
func (c *column) fails(value, goal float64) bool {
	return goal != 0 && (c.least && value < goal || !c.least && value > goal)
}

// The columns of which no cell has a goal only inform.
var columns = []column{
	// accepted, of what was deliverable
	{"goodput", true, func(m *measures) float64 { return m.goodput }, "%.3f"},
	// refused or timed out, of all sent
	{"waste%", false, func(m *measures) float64 { return 100 * m.waste }, "%.2f"},
	// seconds until it has converged
	{"start", false, func(m *measures) float64 { return m.start }, "%.0f"},
	// the same after a change, the slowest
	{"change", false, func(m *measures) float64 { return m.change }, "%.0f"},
	// goodput of the first 20 s
	{"20s", true, func(m *measures) float64 { return m.first20 }, "%.3f"},
	// goodput of the first minute
	{"60s", true, func(m *measures) float64 { return m.first60 }, "%.3f"},
	// goodput after the first 20 s
	{"20s+", true, func(m *measures) float64 { return m.after20 }, "%.3f"},
	// goodput of the minute after the first 20 s
	{"minute", true, func(m *measures) float64 { return m.minute }, "%.3f"},
	// goodput of the 20 s after the last stray refusal
	{"stray", true, func(m *measures) float64 { return m.stray }, "%.3f"},
	// until all items are accepted, of that with the best fixed limit
	{"time", false, func(m *measures) float64 { return m.time }, "%.2f"},
	// mean in flight after the first 20 s
	{"flight", false, func(m *measures) float64 { return m.inFlight }, "%.1f"},
	// latency of successes in seconds
	{"p99", false, func(m *measures) float64 { return m.p99 }, "%.2f"},
	// fairness among our clients while all are there
	{"Jain", true, func(m *measures) float64 { return m.jain }, "%.3f"},
	// of what would be fair to our clients, beside others
	{"share", true, func(m *measures) float64 { return m.share }, "%.3f"},
	// largest limit
	{"maxL", false, func(m *measures) float64 { return m.largest }, "%.0f"},
	// mean limit in the last minute
	{"endL", false, func(m *measures) float64 { return m.end }, "%.1f"},
	// requests
	{"sent", false, func(m *measures) float64 { return m.sent }, "%.0f"},
	// requests that timed out
	{"504", false, func(m *measures) float64 { return m.timedOut }, "%.0f"},
	// requests sent into an outage
	{"dead", false, func(m *measures) float64 { return m.dead }, "%.0f"},
	// requests sent before a Retry-After had passed
	{"early", false, func(m *measures) float64 { return m.early }, "%.0f"},
	// requests sent above a ceiling
	{"above", false, func(m *measures) float64 { return m.above }, "%.0f"},
}

func TestMatrix(t *testing.T) {
	pattern := regexp.MustCompile("^(" + *only + ")$")
	if *only == "" {
		pattern = regexp.MustCompile("")
	}
	var chosen []*cell
	for i := range cells {
		if pattern.MatchString(cells[i].name) && !race.Skips(i) {
			chosen = append(chosen, &cells[i])
		}
	}
	runs := make([][]measures, len(chosen))
	texts := make([]strings.Builder, len(chosen))
	t.Run("cells", func(t *testing.T) {
		for i, c := range chosen {
			runs[i] = make([]measures, *seeds)
			for n := range *seeds {
				t.Run(fmt.Sprintf("%s/%d", c.name, *first+uint64(n)), func(t *testing.T) {
					t.Parallel()
					r := simulate(t, c, *first+uint64(n))
					m := r.measure()
					runs[i][n] = m
					if m.early > 0 || m.above > 0 {
						t.Errorf("%.0f sent before a Retry-After had passed, %.0f above a "+
							"ceiling: want none", m.early, m.above)
					}
					if *lines != "" && n == 0 {
						r.trace(&texts[i])
					}
				})
			}
		}
	})
	if *lines != "" {
		var all strings.Builder
		for i := range texts {
			all.WriteString(texts[i].String())
		}
		if err := os.WriteFile(*lines, []byte(all.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}

	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	head := "cell"
	for _, c := range columns {
		head += "\t" + c.head
	}
	fmt.Fprintln(w, head+"\t")
	var short, worse []string
	for i, c := range chosen {
		row := c.name
		if slices.ContainsFunc(runs[i], func(m measures) bool { return m.flooded }) {
			row += "!"
		}
		for _, col := range columns {
			worst := col.value(&runs[i][0])
			for n := range runs[i] {
				if v := col.value(&runs[i][n]); col.least == (v < worst) {
					worst = v
				}
			}
			value := fmt.Sprintf(col.print, worst)
			least := col.value(&c.short)
			if least == 0 {
				least = col.value(&c.goals)
			}
			if goal := col.value(&c.goals); col.fails(worst, goal) {
				sign := ">"
				if col.least {
					sign = "<"
				}
				value += sign + strings.TrimSuffix(fmt.Sprintf("%.3g", math.Round(goal*1e4)/1e4),
					".0")
				short = append(short, fmt.Sprintf("%s: %s %s", c.name, col.head, value))
			}
			if col.fails(worst, least) {
				worse = append(worse, fmt.Sprintf("%s: %s %s, was %.3g", c.name, col.head, value,
					least))
			}
			if meaningless(c, col.head) {
				value = "-"
			}
			row += "\t" + value
		}
		fmt.Fprintln(w, row+"\t")
	}
	w.Flush()
	if *table || testing.Verbose() {
		fmt.Print(text.String())
	}
	if !whole || *inFlight > 0 {
		return
	}
	if len(short) > 0 {
		t.Logf("%d short of their goals, in the worst of %d seeds:\n%s", len(short), *seeds,
			strings.Join(short, "\n"))
	}
	if *strict && len(worse) > 0 {
		t.Errorf("%d worse than they were, in the worst of %d seeds:\n%s", len(worse), *seeds,
			strings.Join(worse, "\n"))
	}
}

// meaningless names what a column does not measure.
func meaningless(c *cell, head string) bool {
	switch head {
	case "change":
		return len(c.changes()) == 0
	case "Jain":
		return c.clients == 0
	case "share":
		return c.neighbors == nil
	case "dead":
		return c.out[1] == 0
	case "goodput", "20s", "60s", "20s+", "start":
		return c.capacity == 0
	case "stray":
		return c.goals.stray == 0
	case "time":
		return c.items == 0
	case "flight":
		return c.goals.inFlight == 0
	}
	return false
}

// trace writes a line for each second and client.
func (r *run) trace(w *strings.Builder) {
	fmt.Fprintln(w,
		"cell\tt\tclient\tlimit\trate\tin_flight\tsent\taccepted\t"+
			"429\toverloaded\ttimed_out\tfailed\tgoodput\tcapacity\tphase\treason")
	can := r.cell.capacities()
	for s := range can {
		for i, c := range r.clients {
			x := &c.tally.seconds[s]
			fmt.Fprintf(w,
				"%s\t%d\t%d\t%d\t%.2f\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t%s\t%s\n",
				r.cell.name, s+1, i,
				x.state.limit, x.state.rate, x.state.inFlight, x.sent, x.accepted, x.throttled,
				x.overloaded, x.timedOut, x.failed, x.goodput, can[s],
				x.state.phase, x.state.reason)
		}
	}
}
