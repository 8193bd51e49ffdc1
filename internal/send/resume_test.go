package send

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/test"
)

// [resume] The same command goes on where a run stopped.
func TestResume(t *testing.T) {
	onFakeTime(t, 5, atOnce, func(w *world) {
		w.items(w.journaled(), report.ItemCounts{Total: 5, Delivered: 5})

		summary := w.journaled()
		w.items(summary, report.ItemCounts{Total: 5, Skipped: 5})
		if summary.ExitStatus != exit.Delivered || w.asks() != 5 ||
			!strings.Contains(errorsOf(summary), "5 skipped: delivered earlier") {
			w.Errorf("exit status %d, %d requests, %s", summary.ExitStatus, w.asks(),
				errorsOf(summary))
		}

		test.OK(w, os.Chtimes(w.firstFile(), time.Time{}, time.Now().Add(time.Hour)))
		w.method("")
		w.items(w.journaled(), report.ItemCounts{Total: 5, Delivered: 1, Skipped: 4})

		// Again: all, and when that is broken off, what it had not sent yet.
		time.Sleep(time.Second)
		w.Again = time.Now()
		time.Sleep(time.Second)
		w.Limits.Rate, w.MaxDuration = 1, 2500*time.Millisecond
		w.items(w.journaled(), report.ItemCounts{Total: 5, Delivered: 3, Remaining: 2})
		w.MaxDuration = 0
		w.items(w.journaled(), report.ItemCounts{Total: 5, Delivered: 2, Skipped: 3})
	})
}

// An item that is there twice must not change what the journal has of the first.
func TestTwinForgetsDelivery(t *testing.T) {
	onFakeTime(t, 5, atOnce, func(w *world) {
		first := w.firstFile()
		var list []string
		for it := range w.Source.Items() {
			list = append(list, it.Path)
		}
		w.Workers, w.Limits.Rate = 1, 1
		w.stdin("http://127.0.0.1/upload?v=1", "POST", append(list, first)...)
		w.items(w.journaled(), report.ItemCounts{Total: 6, Delivered: 5, Failed: 1})
		w.stdin("http://127.0.0.1/upload?v=1", "POST", list...)
		w.items(w.journaled(), report.ItemCounts{Total: 5, Skipped: 5})
		if w.asks() != 5 {
			w.Errorf("%d requests for five files", w.asks())
		}
	})
}

// With a digest, a file that was only touched is not sent again.
func TestTouched(t *testing.T) {
	onFakeTime(t, 2, atOnce, func(w *world) {
		w.Digest = true
		w.items(w.journaled(), report.ItemCounts{Total: 2, Delivered: 2})
		test.OK(w, os.Chtimes(w.firstFile(), time.Time{}, time.Now().Add(time.Hour)))
		w.method("")
		for range 2 { // the second time by the new date
			w.items(w.journaled(), report.ItemCounts{Total: 2, Skipped: 2})
		}
		if w.asks() != 2 {
			w.Errorf("%d requests", w.asks())
		}
	})
}

// [at most once] The journal has a request in flight before its first byte leaves if it may not be
// repeated, or if what is there already would be in doubt after a kill, and a plain PUT not at all.
// After a refusal it is in flight no more and nothing is in doubt, whatever made the journal note
// it: otherwise a 412 would make the file unknown, and a key would be taken for older than it is.
func TestInFlightIsNoted(t *testing.T) {
	noted := []string{"in_flight", "deferred", "in_flight", "delivered"}
	for _, c := range []struct {
		name string
		set  func(*world)
		want []string
	}{
		{"PUT", func(w *world) { w.method("PUT") }, []string{"", "", "", "delivered"}},
		{"POST", func(w *world) { w.method("POST") }, noted},
		{"PUT --no-overwrite", func(w *world) { w.NoOverwrite = true }, noted},
		{"POST with a key", func(w *world) { w.method("POST"); w.Idempotency = keys }, noted},
	} {
		name := filepath.Join(t.TempDir(), "j.db")
		var mu sync.Mutex
		var seen []string
		look := func() {
			states := ""
			for _, it := range rows(t, name) {
				states += it.State.String()
				if it.State == item.Deferred && (it.Doubt || !it.First.IsZero()) {
					t.Errorf("%s: refused, doubt %v, first %v", c.name, it.Doubt, it.First)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, states)
		}
		server := nth(func(n int, w http.ResponseWriter, r *http.Request) bool {
			look()
			if n == 1 {
				answering(http.StatusServiceUnavailable, "Retry-After", "60")(w, r)
				time.AfterFunc(30*time.Second, look)
			}
			return n == 1
		})
		onFakeTime(t, 1, server, func(w *world) {
			c.set(w)
			w.journal(name)
			w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
			look()
		})
		if diff := cmp.Diff(c.want, seen); diff != "" {
			t.Errorf("%s: the journal while it is sent (-want +got):\n%s", c.name, diff)
		}
	}
}

var keys = resume.Idempotency{Header: "Idempotency-Key", Lifetime: 24 * time.Hour}

// What failed and is not in the journal is sent by the next run.
func TestFailedIsNotForgotten(t *testing.T) {
	onFakeTime(t, 2, atOnce, func(w *world) {
		first := w.firstFile()
		dir := filepath.Dir(first)
		late := filepath.Join(dir, "late")
		w.stdin("http://127.0.0.1/{name}", "PUT", first, late)
		sum := w.journaled()
		if sum.NotJournaled != 1 { // by which the command to go on does not go by the journal
			t.Fatalf("%d, %+v %s", sum.NotJournaled, sum.Items, errorsOf(sum))
		}
		writeFile(t, late, "late")
		w.stdin("http://127.0.0.1/{name}", "PUT", first, late)
		w.journaled()
		if w.asks() != 2 {
			t.Errorf("%d requests: the file that failed is not sent", w.asks())
		}
	})
}

// Two lines that differ in a header are two items. If the header is a credential they are one, and
// the error names it.
func TestLinesThatDifferInAHeader(t *testing.T) {
	onFakeTime(t, 1, atOnce, func(w *world) {
		file := w.firstFile()
		line := func(headers string) string {
			return fmt.Sprintf("{\"path\":%q,\"url\":\"http://127.0.0.1/a\","+
				"\"method\":\"POST\",\"headers\":%s}\n", file, headers)
		}
		w.manifest(line(`{"X-Object-Key":"one"}`) + line(`{"X-Object-Key":"two"}`) +
			line(`{"X-Title":"Basic Algebra"}`) + line(`{"X-Title":"Basic Geometry"}`))
		w.ended(w.journaled(), exit.Delivered, 4, 0, 0, 0, 0)

		w.manifest(line(`{"X-Page-Token":"one","Date":"1"}`) +
			line(`{"X-Page-Token":"two","Date":"2"}`))
		sum := w.journaled()
		w.ended(sum, exit.Items, 1, 1, 0, 0, 0)
		want := "duplicate of another item of this run (credentials in the URL and the headers " +
			"Date, X-Page-Token do not count): leave one out, or give each a key of its own"
		w.says(sum, want)
	})
}

// [resume] A run with --only that is stopped goes on by the same command: what it took up and did
// not finish is still selected.
func TestOnlyGoesOn(t *testing.T) {
	for _, c := range []struct {
		method      string
		noOverwrite bool
		first       []int // answers to the one file
		only        item.Fate
	}{
		{"PUT", false, []int{422}, item.Failed},
		{"PUT", true, []int{502, 422}, item.Failed},
		{"POST", false, []int{422}, item.Failed},
		{"POST", false, []int{502}, item.Unknown},
		{"PUT", true, []int{502, 412}, item.Unknown},
	} {
		for _, broken := range []bool{false, true} {
			name := fmt.Sprintf("%s, %v, broken off %v", c.method, c.first, broken)
			t.Run(name, func(t *testing.T) {
				answers, hangs := c.first, false
				onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					switch {
					case hangs:
						<-r.Context().Done()
					case len(answers) == 0:
						w.WriteHeader(http.StatusCreated)
					default:
						w.WriteHeader(answers[0])
						answers = answers[1:]
					}
				}, func(w *world) {
					w.Attempts, w.NoOverwrite = 2, c.noOverwrite
					w.method(c.method)
					w.journaled()
					w.Only = item.FatesOf(c.only)
					answers, hangs = slices.Repeat([]int{503}, 100), broken
					for range 2 {
						w.method(c.method)
						w.journal(w.db)
						w.stopped(10*time.Second, 20*time.Second)
					}
					answers, hangs = nil, false
					w.method(c.method)
					s := w.journaled()
					if broken && c.method == "POST" && c.only == item.Failed {
						w.items(s, report.ItemCounts{Total: 1, Skipped: 1}) // it is unknown
						return
					}
					w.items(s, report.ItemCounts{Total: 1, Delivered: 1})
				})
			})
		}
	}
}

// A file that was only touched is read once: after that its new date is known.
func TestTouchedFileIsReadOnce(t *testing.T) {
	onFakeTime(t, 1, atOnce, func(w *world) {
		w.Digest = true
		w.journaled()
		test.OK(t, os.Chtimes(w.firstFile(), time.Time{}, time.Now().Add(-time.Hour)))
		for _, digest := range []bool{true, false} {
			w.Digest = digest
			w.method("PUT")
			w.items(w.journaled(), report.ItemCounts{Total: 1, Skipped: 1})
		}
	})
}

// [resume] A touched file that cannot be read is sent when it can: that its content may have been
// accepted before is no doubt about the key that it is sent with.
func TestTouchedFileFailsBeforeItIsSent(t *testing.T) {
	const slow = 5 * time.Second
	onFakeTime(t, 2, taking(slow), func(w *world) {
		w.Idempotency = keys
		w.Limits.InFlight = 1
		w.method("POST")
		w.ended(w.journaled(), exit.Delivered, 2, 0, 0, 0, 0)
		first := w.firstFile()
		second := strings.TrimSuffix(first, "0") + "1"
		touched := time.Now().Add(-time.Hour)
		touch := func() { test.OK(t, os.Chtimes(second, time.Time{}, touched)) }
		test.OK(t, os.Chtimes(first, time.Time{}, touched))
		touch()
		time.AfterFunc(slow/2, func() { test.Check(t, os.Remove(second)) })
		w.method("POST")
		w.ended(w.journaled(), exit.Items, 1, 1, 0, 0, 0)
		writeFile(t, second, "x")
		touch()
		w.method("POST")
		w.items(w.journaled(), report.ItemCounts{Total: 2, Delivered: 1, Skipped: 1})
	})
}
