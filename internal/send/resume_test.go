package send

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/throttle"
)

// journal gives the run a journal; each call continues the last one's.
func (w *world) journal(name string) {
	w.Helper()
	j, err := journal.Open(context.Background(), journal.Options{Path: name})
	if err != nil {
		w.Fatal(err)
	}
	w.Options.Journal = j
}

// A shelf is a server that keeps what it is sent.
type shelf struct {
	mu    sync.Mutex
	calls []string                                                 // method and path
	keys  map[string][]string                                      // by path
	do    func(n int, w http.ResponseWriter, r *http.Request) bool // of the n-th call; false: as always
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.mu.Lock()
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	n := len(s.calls)
	if s.keys == nil {
		s.keys = make(map[string][]string)
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		s.keys[r.URL.Path] = append(s.keys[r.URL.Path], key)
	}
	do := s.do
	s.mu.Unlock()
	if do == nil || !do(n, w, r) {
		w.WriteHeader(http.StatusCreated)
	}
}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

func (w *world) items(s report.Summary, want report.ItemCounts) {
	w.Helper()
	if diff := cmp.Diff(want, s.Items); diff != "" {
		w.Errorf("items (-want +got):\n%s%s", diff, errorsOf(s))
	}
}

// [resume] The same command goes on where a run stopped.
func TestResume(t *testing.T) {
	s := new(shelf)
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 5, s.ServeHTTP, func(w *world) {
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 5, Delivered: 5})

		w.journal(name)
		summary := w.run()
		w.items(summary, report.ItemCounts{Total: 5, Skipped: 5})
		if summary.ExitStatus != exit.Delivered || s.count() != 5 || !strings.Contains(errorsOf(summary), "5 skipped: delivered earlier") {
			w.Errorf("exit status %d, %d requests, %s", summary.ExitStatus, s.count(), errorsOf(summary))
		}

		if err := os.Chtimes(w.firstFile(), time.Time{}, time.Now().Add(time.Hour)); err != nil {
			w.Fatal(err)
		}
		w.method("")
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 5, Delivered: 1, Skipped: 4})

		// Again: all, and when that is broken off, what it had not sent yet.
		time.Sleep(time.Second)
		w.Again = time.Now()
		time.Sleep(time.Second)
		w.Limits.Rate, w.MaxDuration = 1, 2500*time.Millisecond
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 5, Delivered: 3, Remaining: 2})
		w.MaxDuration = 0
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 5, Delivered: 2, Skipped: 3})
	})
}

// An item that is there twice must not change what the journal has of the first.
func TestTwinForgetsDelivery(t *testing.T) {
	s := new(shelf)
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 5, s.ServeHTTP, func(w *world) {
		first := w.firstFile()
		var list []string
		for it := range w.Source.Items() {
			list = append(list, it.Path)
		}
		w.Workers, w.Limits.Rate = 1, 1
		w.stdin("http://127.0.0.1/upload?v=1", "POST", append(list, first)...)
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 6, Delivered: 5, Failed: 1})
		w.stdin("http://127.0.0.1/upload?v=1", "POST", list...)
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 5, Skipped: 5})
		if s.count() != 5 {
			w.Errorf("%d requests for five files", s.count())
		}
	})
}

// With a digest, a file that was only touched is not sent again.
func TestTouched(t *testing.T) {
	s := new(shelf)
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 2, s.ServeHTTP, func(w *world) {
		w.Digest = true
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 2, Delivered: 2})
		if err := os.Chtimes(w.firstFile(), time.Time{}, time.Now().Add(time.Hour)); err != nil {
			w.Fatal(err)
		}
		w.method("")
		for range 2 { // the second time by the new date
			w.journal(name)
			w.items(w.run(), report.ItemCounts{Total: 2, Skipped: 2})
		}
		if s.count() != 2 {
			w.Errorf("%d requests", s.count())
		}
	})
}

// A POST that may have been accepted is sent again only when the user says so.
func TestUnknownStaysUnknown(t *testing.T) {
	s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 2 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return n == 2
	}}
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 3, s.ServeHTTP, func(w *world) {
		w.method("POST")
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 3, Delivered: 2, Unknown: 1})
		for range 2 {
			w.journal(name)
			summary := w.run()
			w.items(summary, report.ItemCounts{Total: 3, Unknown: 1, Skipped: 2})
			if summary.ExitStatus != exit.Items || s.count() != 3 {
				w.Errorf("exit status %d, %d requests", summary.ExitStatus, s.count())
			}
		}
		w.ResendUnknown = true
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 3, Delivered: 1, Skipped: 2})
	})
}

// [at most once] The journal has a POST in flight before the first byte of it leaves, and a PUT not
// at all. After a refusal it is in flight no more.
func TestInFlightIsNoted(t *testing.T) {
	for _, method := range []string{"POST", "PUT"} {
		name := filepath.Join(t.TempDir(), "j.db")
		var seen []string
		look := func() {
			j, err := journal.OpenReader(name)
			if err != nil {
				t.Error(err)
				return
			}
			defer j.Close()
			states := ""
			for it, err := range j.Items() {
				if err != nil {
					t.Error(err)
				}
				states += it.State.String()
			}
			seen = append(seen, states)
		}
		s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
			look()
			if n == 1 {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(http.StatusServiceUnavailable)
				time.AfterFunc(30*time.Second, look)
			}
			return n == 1
		}}
		onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
			w.method(method)
			w.journal(name)
			w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
			look()
		})
		want := []string{"in_flight", "deferred", "in_flight", "delivered"}
		if method == "PUT" {
			want = []string{"", "", "", "delivered"}
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("%s: the journal while it is sent (-want +got):\n%s", method, diff)
		}
	}
}

var keys = resume.Idempotency{Header: "Idempotency-Key", Lifetime: 24 * time.Hour}

// [exactly once] A key is the same for all attempts and over restarts, and another one when the
// user wants the item sent again.
func TestKeys(t *testing.T) {
	s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			w.WriteHeader(http.StatusConflict)
		case 3:
			w.WriteHeader(http.StatusGatewayTimeout)
		}
		return n <= 3
	}}
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
		w.method("POST")
		w.Idempotency, w.Attempts = keys, 3
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Failed: 1})
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Delivered: 1})
		time.Sleep(time.Second)
		w.Again = time.Now()
		w.journal(name)
		w.items(w.run(), report.ItemCounts{Total: 1, Delivered: 1})
	})
	got := s.keys["/00000"]
	if len(got) != 5 {
		t.Fatalf("%d keys: %q", len(got), got)
	}
	for _, key := range got[:4] {
		if key != got[0] || len(key) != 38 || key[0] != '"' {
			t.Errorf("key %s after %s", key, got[0])
		}
	}
	if got[4] == got[0] {
		t.Error("sent again with the key that the server knows")
	}
}

// A key that has become too old in the middle of a run is not sent again.
func TestKeyGrowsOld(t *testing.T) {
	for _, doubt := range []bool{true, false} {
		s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
			switch {
			case n == 1 && doubt:
				w.WriteHeader(http.StatusInternalServerError)
			case n == 1 || n == 2 && doubt:
				w.Header().Set("Retry-After", "4000")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n == 1 || n == 2 && doubt
		}}
		onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
			w.method("POST")
			w.Idempotency = resume.Idempotency{Header: "Idempotency-Key", Lifetime: time.Hour}
			summary := w.run()
			if doubt {
				w.items(summary, report.ItemCounts{Total: 1, Unknown: 1})
				if !strings.Contains(errorsOf(summary), "--key-lifetime") || s.count() != 2 {
					w.Errorf("%d requests; %s", s.count(), errorsOf(summary))
				}
			} else {
				w.items(summary, report.ItemCounts{Total: 1, Delivered: 1})
			}
		})
	}
}

// [no overwrite] A 412 under --no-overwrite says that a file is there. It may be ours if an attempt
// before may have been accepted.
func TestNoOverwrite(t *testing.T) {
	for _, lost := range []bool{true, false} {
		s := &shelf{do: func(n int, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") != "*" {
				t.Errorf("If-None-Match: %q", r.Header["If-None-Match"])
			}
			if n == 1 && lost {
				hijacked(w, "", (*memnet.Conn).Reset)
			} else {
				w.WriteHeader(http.StatusPreconditionFailed)
			}
			return true
		}}
		onFakeTime(t, 1, s.ServeHTTP, func(w *world) {
			w.NoOverwrite = true
			want := report.ItemCounts{Total: 1, Failed: 1}
			if lost {
				want = report.ItemCounts{Total: 1, Unknown: 1}
			}
			w.items(w.run(), want)
		})
	}
}

// While the server accepts nothing at all no file fails. After an hour of it the run ends.
func TestOutageOfErrors(t *testing.T) {
	for _, back := range []bool{true, false} {
		var begin time.Time
		s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if since := time.Since(begin); since > time.Second && (since < 5*time.Minute || !back) {
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
			return false
		}}
		onFakeTime(t, 100, s.ServeHTTP, func(w *world) {
			begin = time.Now()
			w.Limits.Rate, w.Limits.InFlight = 2, 4
			w.journal(filepath.Join(w.TempDir(), "j.db"))
			summary := w.run()
			if back {
				w.items(summary, report.ItemCounts{Total: 100, Delivered: 100})
			} else {
				w.ended(summary, exit.Unavailable, 3, 0, 0, summary.Items.Deferred, 97-summary.Items.Deferred)
				if after := time.Hour + time.Second; w.since() < after || w.since() > after+time.Second {
					t.Errorf("it gave up after %v", w.since())
				}
			}
		})
	}
}

// Twenty like answers, one for the newest file, and nothing accepted say that something else is wrong.
func TestTwentyLikeAnswers(t *testing.T) {
	s := &shelf{do: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusNotFound)
		return true
	}}
	onFakeTime(t, 500, s.ServeHTTP, func(w *world) {
		w.Workers = 1
		summary := w.run()
		w.ended(summary, exit.Refused, 0, 21, 0, 0, 479)
		if !strings.Contains(errorsOf(summary), "the last 21 answers were 404 Not Found and nothing was accepted: check the URL") {
			w.Error(errorsOf(summary))
		}
	})
}

// [doubt] File after file that comes into doubt ends the run before all are.
func TestFileAfterFileInDoubt(t *testing.T) {
	s := &shelf{do: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n > 30 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return n > 30
	}}
	onFakeTime(t, 500, s.ServeHTTP, func(w *world) {
		w.Workers = 1
		w.method("POST")
		summary := w.run()
		w.ended(summary, exit.Unavailable, 30, 0, 20, 0, 450)
		if !strings.Contains(errorsOf(summary), "twenty files in a row") {
			w.Error(errorsOf(summary))
		}
	})
}

// The stop has a deadline.
func TestStopTimeout(t *testing.T) {
	s := &shelf{do: func(n int, _ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}}
	onFakeTime(t, 3, s.ServeHTTP, func(w *world) {
		w.StopTimeout = 25 * time.Second
		w.Limits.InFlight = 1
		w.method("POST")
		w.journal(filepath.Join(w.TempDir(), "j.db"))
		soft, stop := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { stop(&exit.Signal{Signal: os.Interrupt}) })
		sum := w.runUntil(context.Background(), soft)
		w.ended(sum, exit.Interrupted, 0, 0, 1, 0, 2)
		if w.since() != 26*time.Second {
			w.Errorf("over after %v", w.since())
		}
	})
}

// A journal that cannot be written ends the run; nothing is claimed that it does not
// have, and nothing is forgotten.
func TestJournalFails(t *testing.T) {
	t.Run("a few in flight", func(t *testing.T) { journalFails(t, throttle.Limits{Rate: 10}, 5) })
	t.Run("all that may be", func(t *testing.T) { journalFails(t, throttle.Limits{InFlight: 64, Fixed: true}, fewestUnsettled) })
}

func journalFails(t *testing.T, limits throttle.Limits, most int64) {
	name := filepath.Join(t.TempDir(), "j.db")
	s := new(shelf)
	onFakeTime(t, 600, s.ServeHTTP, func(w *world) {
		w.Limits, w.Workers = limits, 200
		w.journal(name)
		s.do = func(n int, _ http.ResponseWriter, _ *http.Request) bool {
			if n == 100 {
				// A journal whose file is another's is not written to.
				if err := errors.Join(os.Rename(name, name+".away"), os.WriteFile(name, nil, 0o600)); err != nil {
					t.Error(err)
				}
			}
			return false
		}
		summary := w.run()
		i := summary.Items
		if summary.ExitStatus != exit.Local || i.Unknown == 0 || i.Unknown > most || i.Remaining == 0 || i.Delivered+i.Unknown != int64(s.count()) {
			w.Errorf("exit status %d, %+v with %d requests; %s", summary.ExitStatus, i, s.count(), errorsOf(summary))
		}
	})
}
