package send

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/source"
)

// stream sets lines on standard input as the source: do writes them, and then they end.
func (w *world) stream(do func(say func(key string))) {
	w.Helper()
	file := w.firstFile()
	in, out := io.Pipe()
	w.T.Cleanup(func() { in.Close() })
	w.from("http://127.0.0.1/{key}", source.Options{Manifest: "-", Stdin: in, Method: "POST"})
	go func() {
		defer out.Close()
		do(func(key string) { fmt.Fprintf(out, "{\"path\":%q,\"key\":%q}\n", file, key) })
	}()
}

// [stream] A program that writes nothing for a long time does not end the run, also if the last
// item was in vain; the run says what it waits for.
func TestSilentStream(t *testing.T) {
	answers := inTurn(atOnce, answering(http.StatusInternalServerError), atOnce)
	onFakeTime(t, 1, answers, func(w *world) {
		w.stream(func(say func(string)) {
			for _, key := range []string{"a", "b", "c"} {
				say(key)
				time.Sleep(20 * time.Minute)
			}
		})
		w.GiveUpAfter = 5 * time.Minute
		w.ended(w.run(), exit.Items, 2, 0, 1, 0, 0)
		if !slices.Contains(w.watch.holding(), "waiting for standard input") {
			t.Errorf("%q", w.watch.holding())
		}
	})
}

// A server that takes nothing of a stream is given up: there is something to send.
func TestStreamGivenUp(t *testing.T) {
	onFakeTime(t, 1, answering(http.StatusServiceUnavailable), func(w *world) {
		w.stream(func(say func(string)) {
			say("a")
			time.Sleep(time.Hour)
		})
		w.GiveUpAfter = 5 * time.Minute
		s := w.run()
		if s.ExitStatus != exit.Unavailable || w.since() > 6*time.Minute {
			t.Errorf("exit status %d after %v", s.ExitStatus, w.since())
		}
		time.Sleep(time.Hour) // until the program has ended
	})
}

// A stream is read no more when the user stops the run, also while it is silent.
func TestStreamStopped(t *testing.T) {
	onFakeTime(t, 1, atOnce, func(w *world) {
		w.stream(func(say func(string)) {
			say("a")
			time.Sleep(time.Hour)
			say("b")
		})
		w.StopTimeout = time.Minute
		s := w.stopped(10*time.Second, 0)
		w.ended(s, exit.Interrupted, 1, 0, 0, 0, 0)
		if w.since() != 10*time.Second {
			t.Errorf("it ended after %v", w.since())
		}
		time.Sleep(time.Hour) // until the program has ended
	})
}

// A program can wait for each result before it writes the next line.
func TestStreamOneByOne(t *testing.T) {
	onFakeTime(t, 1, atOnce, func(w *world) {
		from, to := io.Pipe()
		w.Results = results.NewWriter(to)
		lines := bufio.NewScanner(from)
		w.stream(func(say func(string)) {
			for i := range 20 {
				begin := time.Now()
				say(fmt.Sprint(i))
				var r results.Result
				if !lines.Scan() {
					t.Error("no result")
				} else if err := json.Unmarshal(lines.Bytes(), &r); err != nil || r.Line != i+1 ||
					r.Key != fmt.Sprint(i) || r.Status != item.Delivered {
					t.Errorf("%s: %v", lines.Bytes(), err)
				}
				if d := time.Since(begin); d > 0 {
					t.Errorf("line %d: after %v", i+1, d)
				}
			}
		})
		w.ended(w.run(), exit.Delivered, 20, 0, 0, 0, 0)
	})
}

// What failed in an earlier run is sent in its turn: a stream may have no end.
func TestStreamInOrder(t *testing.T) {
	onFakeTime(t, 1, answering(http.StatusUnprocessableEntity), func(w *world) {
		to, files := w.To, w.Source
		for range 2 {
			w.To, w.Source = to, files
			took := time.Duration(0)
			w.stream(func(say func(string)) {
				n := w.asks()
				for _, key := range []string{"a", "b"} {
					begin := time.Now()
					say(key)
					for n++; w.asks() < n && time.Since(begin) < time.Minute; {
						time.Sleep(time.Millisecond)
					}
					took = max(took, time.Since(begin))
				}
			})
			w.ended(w.journaled(), exit.Items, 0, 2, 0, 0, 0)
			if took > 100*time.Millisecond {
				t.Errorf("an item was sent after %v", took)
			}
		}
	})
}
