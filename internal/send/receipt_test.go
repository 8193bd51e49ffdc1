package send

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/test"
)

func (w *world) capture(texts ...string) {
	w.Helper()
	for _, text := range texts {
		test.OK(w, w.Captures.Add(text))
	}
}

// identifying answers as a server does that makes an id for each file.
func identifying(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", "/items"+r.URL.Path)
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"id":"no. %s"}`, r.URL.Path[1:])
}

// receipts are the ends of lines of results, in the order of their files, with times since the
// world began.
func (w *world) receipts(lines []results.Result) (all []string) {
	for _, l := range lines {
		text := fmt.Sprintf("%s %s %s", l.Rel, l.Status, l.Captured)
		if !l.DeliveredAt.IsZero() {
			text += fmt.Sprintf(" at %v", l.DeliveredAt.Sub(w.begin).Round(time.Millisecond))
		}
		if l.Note != "" {
			text += " (" + l.Note + ")"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

func (w *world) expect(got []string, want ...string) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// [receipts] What the server said of a file is in results and journal, with the time of delivery,
// and a resumed run says it again of what it skips: also of a file that was only touched.
func TestReceipts(t *testing.T) {
	again := answering(http.StatusServiceUnavailable, "Retry-After", "30")
	onFakeTime(t, 2, inTurn(identifying, again, identifying), func(w *world) {
		w.Limits.InFlight, w.Digest = 1, true
		w.capture("id=.id", "where=header:Location")
		lines := w.results()
		w.ended(w.journaled(), exit.Delivered, 2, 0, 0, 0, 0)
		first := `{"id":"no. 00000","where":"/items/00000"} at `
		second := `{"id":"no. 00001","where":"/items/00001"} at `
		got := lines()
		at0, at1 := got[0].DeliveredAt.Sub(w.begin), got[1].DeliveredAt.Sub(w.begin)
		if at1 < 30*time.Second {
			t.Errorf("delivered after %v", at1)
		}
		at := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
		w.expect(w.receipts(got), "00000 delivered "+first+at(at0),
			"00001 delivered "+second+at(at1))
		var kept []results.Result
		for _, row := range rows(t, w.db) {
			kept = append(kept, row.Result())
		}
		w.expect(w.receipts(kept), "00000 delivered "+first+at(at0),
			"00001 delivered "+second+at(at1))

		w.Captures = Options{}.Captures // the journal has it, whatever is asked for now
		touched := " (" + status.Unchanged + ")"
		for range 2 { // once more by the new date
			time.Sleep(time.Hour)
			lines = w.results()
			test.OK(w, os.Chtimes(w.firstFile(), time.Time{}, time.Now().Add(time.Hour)))
			w.method("")
			w.items(w.journaled(), report.ItemCounts{Total: 2, Skipped: 2})
			w.expect(w.receipts(lines()), "00000 skipped "+first+at(at0)+touched,
				"00001 skipped "+second+at(at1)+" (delivered earlier)")
		}
		lines = w.results()
		w.items(w.journaled(), report.ItemCounts{Total: 2, Skipped: 2})
		w.expect(w.receipts(lines()), "00000 skipped "+first+at(at0)+" (delivered earlier)",
			"00001 skipped "+second+at(at1)+" (delivered earlier)")

		// What is sent again without captures has none of before.
		w.Again = time.Now()
		lines = w.results()
		w.items(w.journaled(), report.ItemCounts{Total: 2, Delivered: 2})
		w.expect(w.receipts(lines()), "00000 delivered ", "00001 delivered ")
		if row := rows(t, w.db)[0]; row.Captured != "" {
			t.Errorf("the journal has %s", row.Captured)
		}
	})
}

// What is missing in an answer is said in the line of the file, which is delivered, once in the
// log, and as a number in the summary.
func TestReceiptsMissing(t *testing.T) {
	onFakeTime(t, 4, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/00000":
			identifying(w, r)
		case "/00001":
			_, _ = io.WriteString(w, "OK")
		case "/00002":
			w.Header().Set("Content-Length", "20")
			_, _ = io.WriteString(w, `{"id":`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"id":1}`)
		}
	}, func(w *world) {
		w.Limits.InFlight = 1
		w.capture("id=.id", "status=$status")
		lines := w.results()
		s := w.journaled()
		w.ended(s, exit.Items, 3, 1, 0, 0, 0)
		got := lines()
		for i := range got {
			got[i].DeliveredAt = time.Time{}
		}
		w.expect(w.receipts(got), `00000 delivered {"id":"no. 00000","status":201}`,
			`00001 delivered {"status":200} (not captured: id is not there: the answer is no JSON)`,
			`00002 delivered {"status":200} (not captured: id is not there: unexpected EOF)`,
			"00003 failed ")
		talk := w.watch.talk.String()
		if n := strings.Count(talk, "not captured"); n != 1 {
			t.Errorf("%d lines of the log speak of it:\n%s", n, talk)
		}
		note := "--capture: something was not in the answer to 2 delivered files; the notes in their " +
			"results say what"
		if s.CapturesMissing != 2 || !slices.Contains(s.Notes, note) {
			t.Errorf("%d, %q", s.CapturesMissing, s.Notes)
		}
	})
}

// A file that the server is found to have has no answer to capture anything of.
func TestReceiptOfFound(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "x")
	}
	onFakeTime(t, 1, handler, func(w *world) {
		w.method("POST")
		w.Verify = true
		w.capture("id=.id")
		lines := w.results()
		s := w.journaled()
		w.ended(s, exit.Delivered, 1, 0, 0, 0, 0)
		got := lines()
		if len(got) != 1 || got[0].Captured != "{}" || got[0].DeliveredAt.IsZero() ||
			!strings.HasSuffix(got[0].Note, "; nothing was captured, for its answer was lost") ||
			s.CapturesMissing != 1 {
			t.Errorf("%+v, %d", got, s.CapturesMissing)
		}
		if row := rows(t, w.db)[0]; row.State != item.Delivered || row.Captured != "{}" {
			t.Errorf("%+v", row)
		}
	})
}
