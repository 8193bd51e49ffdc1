package send

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/throttle"
)

// [results] Whoever reads the results and has stopped holds up neither the uploads nor the journal.
// The run waits for that reader at its end, and a stop ends the wait within its own times.
func TestReaderOfResultsStops(t *testing.T) {
	interrupted := &exit.Signal{Signal: os.Interrupt}
	for _, c := range []struct {
		name           string
		soft, hard     time.Duration // when the user stops the run; 0: not
		reads          time.Duration // when the reader goes on; 0: never
		want           int
		ends           time.Duration
		journalIsThere bool
	}{
		{name: "goes on", reads: time.Hour, want: exit.Delivered, ends: time.Hour},
		{name: "goes on after an interrupt", soft: 20 * time.Second, reads: 30 * time.Second, want: exit.Delivered, ends: 30 * time.Second},
		{name: "interrupted", soft: 20 * time.Second, want: exit.Local, ends: 46 * time.Second},
		{name: "interrupted twice", soft: 20 * time.Second, hard: 22 * time.Second, want: exit.Local, ends: 23 * time.Second},
		{name: "with a journal", soft: 20 * time.Second, want: exit.Local, ends: 46 * time.Second, journalIsThere: true},
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
					var err error
					if w.Journal, err = journal.Open(w.Context(), journal.Options{Path: path, Method: http.MethodPut, Started: time.Now()}); err != nil {
						t.Fatal(err)
					}
				}
				ctx, breakOff := context.WithCancelCause(w.Context())
				defer breakOff(nil)
				soft, stop := context.WithCancelCause(ctx)
				defer stop(nil)
				if c.soft > 0 {
					defer time.AfterFunc(c.soft, func() { stop(interrupted) }).Stop()
				}
				if c.hard > 0 {
					defer time.AfterFunc(c.hard, func() { breakOff(interrupted) }).Stop()
				}
				s := w.runUntil(ctx, soft)
				w.ended(s, c.want, 30, 0, 0, 0, 0)
				if w.since() != c.ends {
					t.Errorf("ended after %v, want %v", w.since(), c.ends)
				}
				in.Close()
				out.Close()
				if <-read; c.reads > 0 && lines != 30 {
					t.Errorf("%d lines were read, want 30", lines)
				}
				notes, want := strings.Join(s.Notes, "\n"), "--results: the results are incomplete: their reader has stopped: not written: 30 lines"
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
	r, err := journal.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := 0
	for _, err := range r.Items(state) {
		if err != nil {
			t.Fatal(err)
		}
		got++
	}
	if got != n {
		t.Errorf("the journal has %d %v, want %d", got, state, n)
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
			fmt.Fprintf(&lines, `{"path":%q,"url":"http://127.0.0.1/%05d%s"}`+"\n", file, i, strings.Repeat("/long", 400))
		}
		name := w.TempDir() + "/manifest"
		if err := os.WriteFile(name, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		w.from("http://127.0.0.1/{name}", source.Options{Manifest: name})
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
		if talk := w.watch.talk.String(); !strings.Contains(talk, "nobody reads --results: nothing new is sent until somebody does") {
			t.Errorf("it says only %q", talk)
		}
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
		if w.since() != time.Second {
			t.Errorf("ended after %v, want a second", w.since())
		}
	})
}
