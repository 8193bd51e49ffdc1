package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/golden"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/test"
)

// smooth is the run of the documentation: 60 files of 4 KiB at 4 a second.
func smooth() Summary {
	tally := NewTally(start)
	for i := range 60 {
		at := start.Add(time.Duration(i) * 250 * time.Millisecond)
		tally.Hold(progress.LimitRate, at)
		tally.Sent(at)
		tally.Request(Request{Outcome: outcome.Accepted, Status: 201,
			Latency: 1030 * time.Millisecond})
		tally.Item(results.Result{Path: fmt.Sprintf("data/%d", i), Status: item.Delivered,
			HTTPStatus: 201, Attempts: 1, Bytes: 4096})
	}
	tally.Hold(progress.NoLimit, start.Add(14750*time.Millisecond))
	s := tally.Summary(start.Add(15780*time.Millisecond), 60)
	s.To = "https://h/files/{name}?v=***&w=***"
	s.Rate.Ceiling = 4
	s.InFlight = InFlightSummary{Ceiling: 256, Limit: 256, Max: 5}
	return s
}

// troubled is a run in which everything went wrong that can.
func troubled() Summary {
	tally := NewTally(start)
	at := start
	send := func(n int, every time.Duration, r Request) {
		for range n {
			at = at.Add(every)
			tally.Sent(at)
			tally.Request(r)
		}
	}
	end := func(n int, it results.Result) {
		for i := range n {
			it := it
			it.Path = fmt.Sprintf(it.Path, i)
			it.Error = strings.ReplaceAll(it.Error, "#", fmt.Sprint(i))
			it.Bytes = 1 << 20
			tally.Item(it)
		}
	}
	send(120_000, 20*time.Millisecond, Request{Outcome: outcome.Accepted, Status: 201,
		Latency: 38 * time.Millisecond})
	send(3000, time.Millisecond, Request{Outcome: outcome.Throttled, Status: 429,
		Latency: 4 * time.Millisecond})
	tally.Hold(progress.LimitCoolDown, at)
	at = at.Add(10 * time.Minute)
	tally.Hold(progress.LimitRate, at)
	send(200, time.Second, Request{Outcome: outcome.Overloaded, Status: 503,
		Latency: 12 * time.Second})
	send(7, time.Minute, Request{Outcome: outcome.TimedOut, Failure: "no answer in time",
		Latency: time.Minute})
	send(3, time.Minute, Request{Outcome: outcome.Overloaded, Failure: "connection refused",
		Latency: time.Millisecond})
	send(1300, time.Millisecond, Request{Outcome: outcome.Errored, Status: 400,
		Latency: time.Millisecond})

	end(120_000, results.Result{Path: "data/%d.csv", Status: item.Delivered})
	end(500, results.Result{Path: "old/%d.csv", Status: item.Skipped})
	end(1200, results.Result{Path: "data/bad-%d.csv", Status: item.Failed, HTTPStatus: 400,
		Error: `record #: no field "id#"`})
	end(100, results.Result{Path: "data/big-%d.csv", Status: item.Failed, HTTPStatus: 413,
		Error: "too large: # bytes"})
	end(7, results.Result{Path: "data/slow-%d.csv", Status: item.Unknown,
		Error: "timed out after # s"})
	end(40, results.Result{Path: "data/late-%d.csv", Status: item.Deferred, HTTPStatus: 429,
		Error: "not before 06:00"})
	end(1, results.Result{Path: "data/\x1b[2Jevil%d.csv", Status: item.Failed, HTTPStatus: 422,
		Error: "line one\r\nline\ttwo \u202egnp.exe \x07"})
	end(1, results.Result{Path: "data/page%d.csv", Status: item.Failed, HTTPStatus: 404,
		Error: strings.Repeat("<p>", 200)})
	for i := range 25 {
		end(1, results.Result{Path: "data/odd%d.csv", Status: item.Failed, HTTPStatus: 460 + i,
			Error: "odd"})
	}
	s := tally.Summary(at.Add(3*time.Second), 130_000)
	s.To = "https://h/files/{name}"
	s.ExitStatus = 10
	s.Rate.Ceiling = 50
	s.InFlight = InFlightSummary{Limit: 12, Max: 64}
	s.Learned = progress.Learned{InFlight: 12}
	s.Timeline = new(progress.Timeline)
	s.Timeline.Add(&progress.Snapshot{Elapsed: time.Second, Sent: 4, Accepted: 3, InFlight: 1,
		InFlightLimit: 1})
	s.Timeline.Add(&progress.Snapshot{Elapsed: 1200 * time.Millisecond, Sent: 6, Accepted: 5,
		Refused: 1, InFlightLimit: 12, Ceiling: 50, Pause: time.Second})
	s.Timeline.Add(&progress.Snapshot{Elapsed: 1600 * time.Millisecond, Sent: 6, Accepted: 5,
		Refused: 1, InFlightLimit: 12, Ceiling: 49.75, Pause: 600 * time.Millisecond})
	s.Notes = []string{"the server wants nothing before 2026-03-02 06:00 UTC"}
	return s
}

func short() Summary {
	tally := NewTally(start)
	tally.Sent(start)
	tally.Request(Request{Outcome: outcome.Errored, Status: 401, Latency: 900 * time.Microsecond})
	tally.Item(results.Result{Path: "a", Status: item.Failed, HTTPStatus: 401,
		Error: "unauthorized"})
	s := tally.Summary(start.Add(12*time.Millisecond), 1)
	s.ExitStatus = 4
	return s
}

func TestSummaryText(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    Summary
	}{
		{"smooth", smooth()}, {"troubled", troubled()}, {"short", short()},
		{"nothing", NewTally(start).Summary(start, 0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			tt.s.WriteText(&b, &b)
			tt.s.Verbose = true
			b.WriteString("\n")
			tt.s.WriteText(&b, &b)
			golden.Check(t, tt.name+".txt", b.String())
		})
	}
}

func TestSummaryJSON(t *testing.T) {
	s := troubled()
	s.Lab = map[string]any{"verdict": "clean"}
	for name, s := range map[string]Summary{"smooth": smooth(), "troubled": s} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			test.OK(t, s.EncodeJSON(&b))
			golden.Check(t, name+".json", b.String())
		})
	}
}

// What was learned of several servers has their names, and of many only some lines.
func TestLearnedByServer(t *testing.T) {
	s := short()
	for i := range textGroups + 2 {
		s.LearnedByServer = append(s.LearnedByServer,
			ServerLearned{fmt.Sprintf("https://h%d.example", i),
				progress.Learned{Rate: 9.8, InFlight: 5}})
	}
	var b strings.Builder
	s.WriteText(&b, io.Discard)
	for text, n := range map[string]int{
		"\nhttps://h0.example: learned 9.8 req/s, 5 in flight\n":                        1,
		": learned 9.8 req/s, 5 in flight\n":                                            textGroups,
		"\nlearned of 2 more servers: see learned_by_server in the report (--report)\n": 1,
	} {
		if strings.Count(b.String(), text) != n {
			t.Errorf("it does not say %q %d times:\n%s", text, n, b.String())
		}
	}
	b.Reset()
	test.OK(t, s.EncodeJSON(&b))
	var read struct {
		Learned struct{ Rate *float64 }
		Servers []struct {
			Server   string
			Rate     float64
			InFlight int `json:"in_flight"`
		} `json:"learned_by_server"`
	}
	test.OK(t, json.Unmarshal([]byte(b.String()), &read))
	if l := read.Servers[9]; len(read.Servers) != 10 || l.Server != "https://h9.example" ||
		l.Rate != 9.8 || l.InFlight != 5 || read.Learned.Rate != nil {
		t.Errorf("the report has %+v", read)
	}
}

// A command can be copied, however narrow the terminal: nothing breaks it.
func TestCommandsAreNotBroken(t *testing.T) {
	lines := []string{`to go on: penstock send --rps 20 --to "http://127.0.0.1/{path}" work`,
		"give your own values for ***"}
	for width, want := range map[int]string{
		0:  lines[0] + "\n" + lines[1] + "\n",
		80: lines[0] + "\n" + lines[1] + "\n",
		60: "to go on:\n" + strings.TrimPrefix(lines[0], "to go on: ") + "\n" + lines[1] + "\n",
	} {
		if got := commands(lines, width); got != want {
			t.Errorf("width %d:\n%s\nwant\n%s", width, got, want)
		}
	}
}
