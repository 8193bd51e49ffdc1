package progress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/golden"
	"github.com/penstock/penstock/internal/human"
)

// run feeds a sink with a run of 600 items at 4 a second, told four times a second, in which the
// server asks for a pause at 40 s.
func run(p Sink, total int64) {
	var s Snapshot
	var m Meter
	begin := time.Now()
	pauseEnd := begin.Add(52 * time.Second)
	for s.Sent < total {
		time.Sleep(tick)
		now := time.Now()
		limit, holding, pause := LimitRate, "more a second is refused", time.Duration(0)
		if now.After(begin.Add(40*time.Second)) && now.Before(pauseEnd) {
			pause = pauseEnd.Sub(now)
			limit, holding = LimitCoolDown,
				fmt.Sprintf("paused %s: Retry-After", human.Clock(pause))
		} else {
			if s.Sent == 100 {
				s.Failed++
				s.LostBytes += 4096
				p.Log("data/100.csv failed: HTTP 400")
			} else {
				s.Delivered++
				s.Bytes += 4096
			}
			s.Sent++
		}
		s.DeliveredBytes, s.Limit, s.Elapsed = s.Bytes, limit, now.Sub(begin)
		s.Total, s.KnownTotal, s.TotalBytes = total, true, total*4096
		s.InFlight, s.Waiting = 5, 3
		s.Ceiling, s.Learned.Rate, s.Pause, s.Holding = 4, 4, pause, holding
		m.Measure(&s)
		p.Update(s)
	}
	p.Close()
	p.Close()
	p.Log("talk after the end")
}

// stamped writes each write with its instant.
func stamped(l *golden.Log) string {
	var b strings.Builder
	for i, w := range l.Writes {
		fmt.Fprintf(&b, "%8s  %s", l.At[i], w)
	}
	return b.String()
}

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := golden.NewLog()
		p := New("line", l)
		run(p, 600)
		golden.Check(t, "line.txt", stamped(l))
	})
}

// A line has one number of requests in flight.
func TestLineInFlight(t *testing.T) {
	s := Snapshot{InFlight: 4, Learned: Learned{InFlight: 3}, Limit: LimitConcurrency,
		Holding: "more at once gains nothing", Elapsed: firstLine}
	if got := lineText(s); !strings.HasSuffix(got,
		"0 B/s; learned 3 in flight; more at once gains nothing") {
		t.Errorf("%q", got)
	}
	s.Limit, s.Holding = NoLimit, "sending the last 4 files"
	if got := lineText(s); !strings.HasSuffix(got, "0 B/s, 4 in flight; sending the last 4 files") {
		t.Errorf("%q", got)
	}
}

// The first answers come together: what they would be in a second is not said.
func TestLineHasNoEarlyRate(t *testing.T) {
	s := Snapshot{Elapsed: rateSoonest - 1, Delivered: 6, FilesPerSecond: 117, InFlight: 2}
	if got, want := lineText(s), "3 s: 6 files; 0 B; 2 in flight"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.Elapsed = rateSoonest
	if got, want := lineText(s), "3 s: 6 files; 0 B; 117 files/s, 0 B/s, 2 in flight"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A server that stops us again and again must not fill the log.
func TestLinesPausesAreNotSpam(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := golden.NewLog()
		p := newLines(l)
		for i := range 4 * 300 {
			s := Snapshot{Elapsed: time.Duration(i) * tick}
			if i%8 >= 4 { // every other second
				s.Limit, s.Holding = LimitCoolDown, "paused 1 s: Retry-After"
			}
			p.Update(s)
			time.Sleep(tick)
		}
		if n := len(l.Writes); n < 10 || n > 20 {
			t.Errorf("%d lines in 300 s:\n%s", n, stamped(l))
		}
		for i := 1; i < len(l.At); i++ {
			if i >= 2 && l.At[i]-l.At[i-2] < lineEvery {
				t.Errorf("three lines within 30 s:\n%s", stamped(l))
			}
		}
	})
}

// A pause that began while pauses were not told is told if it lasts.
func TestLinesTellLongPauseLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := golden.NewLog()
		p := newLines(l)
		update := func(limit Limit, holding string, d time.Duration) {
			for range d / tick {
				p.Update(Snapshot{Limit: limit, Holding: holding, Elapsed: time.Since(l.Start)})
				time.Sleep(tick)
			}
		}
		update(LimitRate, "held by your --rps 4", 10*time.Second)
		update(LimitCoolDown, "paused 1 s", time.Second) // told at 10 s
		update(LimitRate, "held by your --rps 4", time.Second)
		update(LimitDown, "server down", 40*time.Second) // told at 40 s, by the line that is due
		if got := fmt.Sprint(l.At); got != "[5s 10s 40s]" {
			t.Errorf("lines at %s:\n%s", got, stamped(l))
		}
	})
}

func TestJSONLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := golden.NewLog()
		p := New("json", l)
		p.Log(`{"level":"INFO","msg":"as slog writes it & so on"}`)
		p.Log("{not JSON}")
		run(p, 10)
		golden.Check(t, "progress.ndjson", stamped(l))
		for _, w := range l.Writes {
			var v map[string]any
			if err := json.Unmarshal([]byte(w), &v); err != nil {
				t.Errorf("%v: %s", err, w)
			}
		}
	})
}

func TestJSONLinesAtMostOneASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := golden.NewLog()
		p := newJSONLines(l)
		for i := range 1000 {
			p.Update(Snapshot{Delivered: int64(i)})
			time.Sleep(10 * time.Millisecond)
		}
		p.Update(Snapshot{Delivered: 1000})
		p.Close()
		p.Update(Snapshot{Delivered: 1001})
		if got := fmt.Sprint(l.At); got != "[0s 1s 2s 3s 4s 5s 6s 7s 8s 9s 10s]" {
			t.Errorf("updates at %s", got)
		}
		// The last update came when the next line was due.
		if last := l.Writes[len(l.Writes)-1]; !strings.Contains(last, `"delivered":1000`) {
			t.Errorf("the last state is missing: %s", last)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := golden.NewLog()
		p := newJSONLines(l)
		p.Update(Snapshot{Delivered: 1})
		p.Update(Snapshot{Delivered: 2})
		p.Close()
		if len(l.Writes) != 2 || !strings.Contains(l.Writes[1], `"delivered":2`) {
			t.Errorf("Close left out the last state: %q", l.Writes)
		}
	})
}

func TestNewProgress(t *testing.T) {
	var b bytes.Buffer
	for kind, want := range map[string]string{
		"auto": "*progress.lines", "bar": "*progress.lines", "line": "*progress.lines",
		"json": "*progress.jsonLines", "none": "*progress.plain",
	} {
		p := New(kind, &b)
		if got := fmt.Sprintf("%T", p); got != want {
			t.Errorf("%s gives %s, want %s", kind, got, want)
		}
		p.Close()
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p := New("bar", f); fmt.Sprintf("%T", p) != "*progress.lines" {
		t.Errorf("a file gives %T", p)
	}
}

func TestTalkIsSafe(t *testing.T) {
	for _, kind := range []string{"line", "none"} {
		var b bytes.Buffer
		p := New(kind, &b)
		p.Update(Snapshot{})
		p.Log("one\x1b[2J\ntwo\tthree\r\n")
		p.Log("")
		p.Log("{}") // for programs
		// Where there is no terminal, with the time.
		stamp := regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `)
		got := stamp.ReplaceAllString(b.String(), "TIME ")
		if want := "TIME one?[2J\ntwo three\nTIME \n{}\n"; got != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}

func TestSinksConcurrent(t *testing.T) {
	for _, kind := range []string{"line", "json", "none"} {
		l := golden.NewLog()
		p := New(kind, l)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 200 {
					p.Update(Snapshot{Delivered: int64(i), Limit: LimitDown})
					p.Log("talk")
				}
				p.Close()
			})
		}
		wg.Wait()
		for line := range strings.Lines(l.String()) {
			if !strings.HasSuffix(line, "\n") || strings.Count(line, "talk") > 1 {
				t.Fatalf("%s: torn line %q", kind, line)
			}
		}
	}
}
