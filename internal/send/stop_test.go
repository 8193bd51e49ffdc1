package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// [results] A reader of the results that has stopped holds up neither the uploads nor the journal.
// The run waits for that reader at its end, and a stop ends the wait within its own times.
func TestReaderOfResultsStops(t *testing.T) {
	for _, c := range []struct {
		name           string
		soft, hard     time.Duration // when the user stops the run; 0: not
		reads          time.Duration // when the reader goes on; 0: never
		want           int
		ends           time.Duration
		journalIsThere bool
	}{
		{name: "goes on", reads: time.Hour, want: exit.Delivered, ends: time.Hour},
		{name: "goes on after an interrupt", soft: 20 * time.Second, reads: 30 * time.Second,
			want: exit.Delivered, ends: 30 * time.Second},
		{name: "interrupted", soft: 20 * time.Second, want: exit.Local, ends: 46 * time.Second},
		{name: "interrupted twice", soft: 20 * time.Second, hard: 22 * time.Second,
			want: exit.Local, ends: 23 * time.Second},
		{name: "with a journal", soft: 20 * time.Second, want: exit.Local, ends: 46 * time.Second,
			journalIsThere: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFakeTime(t, 30, atOnce, func(w *world) {
				out, in := io.Pipe()
				lines := 0
				read := make(chan struct{})
				go func() {
					defer close(read)
					if c.reads > 0 {
						time.Sleep(c.reads)
						text, _ := io.ReadAll(out)
						lines = strings.Count(string(text), `"delivered"`)
					}
				}()
				w.Limits = throttle.Limits{Rate: 10}
				w.Results, w.StopTimeout = results.NewWriter(in), 25*time.Second
				path := w.TempDir() + "/journal.db"
				if c.journalIsThere {
					w.journal(path)
				}
				s := w.stopped(c.soft, c.hard)
				w.ended(s, c.want, 30, 0, 0, 0, 0)
				if w.since() != c.ends {
					t.Errorf("ended after %v, want %v", w.since(), c.ends)
				}
				in.Close()
				out.Close()
				if <-read; c.reads > 0 && lines != 30 {
					t.Errorf("%d lines were read, want 30", lines)
				}
				notes, want := strings.Join(s.Notes,
					"\n"), "--results: the results are incomplete: their reader has stopped: "+
					"not written: 30 lines"
				if c.journalIsThere {
					want += "; penstock journal export writes them again"
					checkStates(t, path, item.Delivered, 30)
				}
				if c.want == exit.Local && notes != want {
					t.Errorf("it says %q, want %q", notes, want)
				}
			})
		})
	}
}

func checkStates(t *testing.T, path string, state item.Fate, n int) {
	t.Helper()
	all := rows(t, path)
	for _, it := range all {
		if it.State != state {
			t.Errorf("%s is %v, want %v", it.Path, it.State, state)
		}
	}
	if len(all) != n {
		t.Errorf("the journal has %d rows, want %d", len(all), n)
	}
}

// Results that nobody reads cost bounded memory: nothing new is sent then, and it says so.
func TestReaderOfResultsHoldsUpNewWork(t *testing.T) {
	onFakeTime(t, 1, atOnce, func(w *world) {
		out, in := io.Pipe()
		file := w.firstFile()
		var lines strings.Builder
		const n = 6000
		for i := range n {
			fmt.Fprintf(&lines, `{"path":%q,"url":"http://127.0.0.1/%05d%s"}`+"\n", file, i,
				strings.Repeat("/long", 400))
		}
		w.manifest(lines.String())
		w.Results = results.NewWriter(in)
		read := make(chan int)
		go func() {
			time.Sleep(time.Minute)
			text, _ := io.ReadAll(out)
			read <- strings.Count(string(text), "\n")
		}()
		s := w.run()
		in.Close()
		w.ended(s, exit.Delivered, n, 0, 0, 0, 0)
		if got := <-read; got != n || w.since() < time.Minute {
			t.Errorf("%d lines after %v, want %d and at least a minute", got, w.since(), n)
		}
		for _, seen := range w.watch.snapshots {
			if seen.Elapsed < 59*time.Second && seen.Delivered > n/2 {
				t.Fatalf("%d were sent before anybody read", seen.Delivered)
			}
		}
		w.talks("nobody reads --results: nothing new is sent until somebody does")
	})
}

// Where the reader is gone the run ends as soon as that is known, though no file ends meanwhile.
func TestReaderOfResultsIsGone(t *testing.T) {
	onFakeTime(t, 30, atOnce, func(w *world) {
		out, in := io.Pipe()
		out.Close()
		w.Limits = throttle.Limits{Rate: 1.0 / 60}
		w.Results = results.NewWriter(in)
		s := w.run()
		w.ended(s, exit.Local, 1, 0, 0, 0, 29)
		if w.since() != 0 {
			t.Errorf("ended after %v, want at once", w.since())
		}
	})
}

func TestMaxDuration(t *testing.T) {
	onFakeTime(t, 100, taking(3*time.Second), func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.MaxDuration = 2050 * time.Millisecond
		s := w.run()
		w.ended(s, exit.Limit, 21, 0, 0, 0, 79)
		if got := w.since(); got != 5*time.Second {
			t.Errorf("ended after %v: what was in flight takes until 5 s", got)
		}
		if n := w.got(w.MaxDuration, always); n != 0 {
			t.Errorf("%d requests after the end", n)
		}
		if last := w.watch.holding(); last[len(last)-1] != "nothing new is sent: --max-duration "+
			"2.05 s is over" {
			t.Errorf("held back by %q", last)
		}
	})
}

// [stop] The first interrupt sends nothing new; the second breaks off what is in flight. What still
// waits for its turn was not sent.
func TestInterrupt(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second time.Duration
		files         int
		limits        throttle.Limits
		method        string
		answers       time.Duration
		want          report.ItemCounts
		ends          time.Duration
		says          string
	}{
		{"once", 1050 * time.Millisecond, 0, 100, throttle.Limits{Rate: 10, InFlight: 256}, "PUT",
			3 * time.Second, report.ItemCounts{Delivered: 11, Remaining: 89}, 4 * time.Second, ""},
		{"twice", 1050 * time.Millisecond, 2 * time.Second, 100,
			throttle.Limits{Rate: 10, InFlight: 256}, "PUT", 3 * time.Second,
			report.ItemCounts{Deferred: 11, Remaining: 89}, 2 * time.Second, ": interrupted\n"},
		{"at once", 0, 1, 10, throttle.Limits{Rate: 1}, "PUT", 3 * time.Second,
			report.ItemCounts{Deferred: 1, Remaining: 9}, 1, ": interrupted\n"},
		{"posts", 0, time.Second, 3, throttle.Limits{InFlight: 1}, "POST", 3 * time.Second,
			report.ItemCounts{Unknown: 1, Remaining: 2}, time.Second, ": interrupted\n"},
		{"posts that wait", 0, 2500 * time.Millisecond, 6, throttle.Limits{Rate: 1}, "POST", 0,
			report.ItemCounts{Delivered: 3, Remaining: 3}, 2500 * time.Millisecond, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFakeTime(t, c.files, taking(c.answers), func(w *world) {
				w.method(c.method)
				w.Limits = c.limits
				s := w.stopped(c.first, c.second)
				c.want.Total = int64(c.files)
				w.items(s, c.want)
				if s.ExitStatus != exit.Interrupted || w.since() != c.ends {
					t.Errorf("exit status %d after %v, want %v", s.ExitStatus, w.since(), c.ends)
				}
				if text := errorsOf(s); !strings.HasSuffix(text, c.says) || c.says == "" &&
					text != "" || len(s.Errors) > 1 {
					t.Errorf("it says %q", text)
				}
				if c.second == 0 {
					w.logged("interrupted: sending nothing new, 11 in flight may finish; a "+
						"second Ctrl-C ends at once", 1)
				}
			})
		})
	}
	onFakeTime(t, 10, atOnce, func(w *world) {
		ctx, breakOff := context.WithCancelCause(context.Background())
		breakOff(&exit.Signal{Signal: os.Interrupt})
		w.ended(w.runUntil(ctx, ctx), exit.Interrupted, 0, 0, 0, 0, 10)
	})
}

// A standard input that says nothing for hours does not hold up the end.
func TestSilentStdin(t *testing.T) {
	onFakeTime(t, 1, atOnce, func(w *world) {
		in, out := io.Pipe()
		defer out.Close()
		file := w.firstFile()
		go io.WriteString(out, file+"\n")
		w.from(w.To, source.Options{Paths: []string{"-"}, Stdin: in})
		w.MaxDuration = 10 * time.Minute
		s := w.run()
		w.ended(s, exit.Limit, 1, 0, 0, 0, 0)
		if w.since() != w.MaxDuration {
			t.Errorf("ended after %v", w.since())
		}
	})
}

// A full disk ends the run, whatever else went well.
func TestResultsFail(t *testing.T) {
	onFakeTime(t, 30, atOnce, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.Results = results.NewWriter(fullDisk{})
		s := w.run()
		if s.ExitStatus != exit.Local || s.Items.Remaining == 0 || len(s.Notes) != 1 ||
			s.Notes[0] != "--results: the results are incomplete: disk full" {
			t.Errorf("exit status %d, %+v, %q", s.ExitStatus, s.Items, s.Notes)
		}
	})
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// [journal lost] When one of the journal's files is removed, another run may begin: nothing more is
// sent.
func TestJournalRemovedUnderway(t *testing.T) {
	for _, suffix := range []string{"", "-wal", ".lock"} {
		for _, method := range []string{"PUT", "POST"} {
			name := filepath.Join(t.TempDir(), "j.db")
			server := nth(func(n int, _ http.ResponseWriter, _ *http.Request) bool {
				if n == 3 {
					test.Check(t, os.Remove(name+suffix))
				}
				return false
			})
			onFakeTime(t, 50, server, func(w *world) {
				w.method(method)
				w.Limits.Rate = 1
				w.journal(name)
				sum := w.run()
				w.ended(sum, exit.Local, 2, 0, 1, 0, 47)
				if w.asks() != 3 {
					t.Errorf("%s: %d requests", suffix, w.asks())
				}
				w.says(sum, "was removed or replaced while in use")
			})
		}
	}
}

// So it ends if they are removed when its last row was written already: nothing else looks at them
// then.
func TestJournalRemovedAtTheEnd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no open file")
	}
	for _, suffix := range []string{"", "-wal", ".lock"} {
		name := filepath.Join(t.TempDir(), "j.db")
		onFakeTime(t, 1, atOnce, func(w *world) {
			w.journal(name)
			// a line is written after the row
			w.Results = results.NewWriter(removing(name + suffix))
			sum := w.run()
			w.ended(sum, exit.Local, 1, 0, 0, 0, 0)
			w.says(sum, "was removed or replaced while in use")
		})
	}
}

// removing is a writer that removes a file.
type removing string

func (r removing) Write(p []byte) (int, error) { return len(p), os.Remove(string(r)) }

// The stop has a deadline.
func TestStopTimeout(t *testing.T) {
	server := nth(func(n int, _ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	})
	onFakeTime(t, 3, server, func(w *world) {
		w.StopTimeout = 25 * time.Second
		w.Limits.InFlight = 1
		w.method("POST")
		w.journal(w.db)
		sum := w.stopped(time.Second, 0)
		w.ended(sum, exit.Interrupted, 0, 0, 1, 0, 2)
		if w.since() != 26*time.Second {
			w.Errorf("over after %v", w.since())
		}
	})
}

// A journal that cannot be written ends the run; nothing is claimed that it does not have, and
// nothing is forgotten.
func TestJournalFails(t *testing.T) {
	t.Run("a few in flight", func(t *testing.T) { journalFails(t, throttle.Limits{Rate: 10}, 5) })
	t.Run("all that may be", func(t *testing.T) {
		journalFails(t, throttle.Limits{InFlight: 64, Fixed: true}, fewestUnsettled)
	})
}

func journalFails(t *testing.T, limits throttle.Limits, most int64) {
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 600, nth(func(n int, _ http.ResponseWriter, _ *http.Request) bool {
		if n == 100 {
			// A journal whose file is another's is not written to.
			test.Check(t, errors.Join(os.Rename(name, name+".away"),
				os.WriteFile(name, nil, 0o600)))
		}
		return false
	}), func(w *world) {
		w.Limits, w.Workers = limits, 200
		w.journal(name)
		summary := w.run()
		i := summary.Items
		if summary.ExitStatus != exit.Local || i.Unknown == 0 || i.Unknown > most ||
			i.Remaining == 0 || i.Delivered+i.Unknown != int64(w.asks()) {
			w.Errorf("exit status %d, %+v with %d requests; %s", summary.ExitStatus, i,
				w.asks(), errorsOf(summary))
		}
	})
}
