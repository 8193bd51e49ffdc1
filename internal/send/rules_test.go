package send

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// rule adds a rule, or a set by its name.
func (w *world) rule(effect rules.Effect, text string) {
	w.Helper()
	test.OK(w, w.Answers.Add(effect, text))
}

// [throttle on] A server that says by 403 and its body that requests come too fast is served at its
// pace, as one that says so by 429 is.
func TestThrottledByBody(t *testing.T) {
	const files, rps = 300, 5
	var took, refused []float64
	for _, refusal := range []string{"429", "403"} {
		var partner http.Handler
		ask := func(rw http.ResponseWriter, r *http.Request) { partner.ServeHTTP(rw, r) }
		onFakeTime(t, files, ask, func(w *world) {
			s, err := lab.New("partner", url.Values{"rps": {strconv.Itoa(rps)},
				"refusal": {refusal}, "latency": {"10ms"}})
			test.OK(t, err)
			defer s.Close()
			partner = s.Handler()
			w.rule(rules.Throttle, "google")
			sum := w.run()
			w.ended(sum, exit.Delivered, files, 0, 0, 0, 0)
			q := sum.Requests
			if q.Accepted != files || q.Throttled == 0 || q.Throttled+q.Accepted != q.Sent {
				t.Errorf("%s: %+v", refusal, q)
			}
			w.talks("it refused: too many requests")
			took = append(took, sum.Seconds)
			refused = append(refused, float64(q.Throttled))
		})
	}
	// What differs is chance, that of retry's jitter.
	for what, of := range map[string][]float64{"seconds": took, "refusals": refused} {
		if ratio := of[1] / of[0]; ratio < 0.7 || ratio > 1.4 {
			t.Errorf("%v %s with 403, and %v with 429", of[1], what, of[0])
		}
	}
	if took[1] > 1.6*files/rps {
		t.Errorf("%v s, at %d a second", took[1], rps)
	}
}

// A wait that comes with such an answer is kept to, of any status.
func TestThrottledUntil(t *testing.T) {
	for _, status := range []int{200, 400, 403} {
		first := atomic.Bool{}
		onFakeTime(t, 3, func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if !first.Swap(true) {
				rw.Header().Set("Retry-After", "30")
				telling(status, `{"slow":true}`)(rw, r)
			}
		}, func(w *world) {
			w.Limits.InFlight = 1
			w.rule(rules.Throttle, "any:.slow")
			w.ended(w.run(), exit.Delivered, 3, 0, 0, 0, 0)
			if n := w.got(0, 30*time.Second); n != 1 || w.asks() != 4 {
				t.Errorf("%d: %d requests before the end of the pause, of %d", status, n, w.asks())
			}
			w.talks("asked us to wait 30 s")
		})
	}
}

// So is the wait that comes with an answer by which the file is to be sent again.
func TestRepeatedAfter(t *testing.T) {
	for _, status := range []int{200, 202, 403} {
		first := atomic.Bool{}
		onFakeTime(t, 1, func(rw http.ResponseWriter, r *http.Request) {
			if !first.Swap(true) {
				rw.Header().Set("Retry-After", "30")
				telling(status, `{"busy":true}`)(rw, r)
			}
		}, func(w *world) {
			w.method("POST")
			w.rule(rules.Retry, "any:.busy")
			w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
			if n := w.got(0, 30*time.Second); n != 1 || w.asks() != 2 {
				t.Errorf("%d: %d requests within the wait, of %d", status, n, w.asks())
			}
		})
	}
}

// What is kept of an answer until its file is sent again is what may be shown of it: many files may
// wait.
func TestLittleKept(t *testing.T) {
	text := `{"slow":true,"x":"` + strings.Repeat("x", 500<<10) + `"}`
	r, j := &run{}, &job{}
	test.OK(t, r.Answers.Add(rules.Throttle, "403:.slow"))
	req, err := http.NewRequestWithContext(context.WithValue(t.Context(), jobKey{}, j), "PUT",
		"http://127.0.0.1/", nil)
	test.OK(t, err)
	resp := &http.Response{StatusCode: 403, Request: req,
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: -1}
	r.feedback(resp, nil, throttle.Feedback{})
	if n := cap(j.ruled.Body); n < reply.MaxHead || n > 2*reply.MaxHead {
		t.Errorf("%d bytes", n)
	}
	if all, err := io.ReadAll(resp.Body); string(all) != text || err != nil {
		t.Errorf("then %d bytes, %v", len(all), err)
	}
}

// [rules] What is rejected counts nowhere as delivered, and what is accepted does everywhere.
func TestRuledEverywhere(t *testing.T) {
	// Each third file is there already, and each third is refused in a 200.
	handler := func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch (r.URL.Path[len(r.URL.Path)-1] - '0') % 3 {
		case 0:
			telling(http.StatusConflict, `{"error":"exists"}`)(rw, r)
		case 1:
			rw.Header().Set("Content-Type", "application/json")
			telling(http.StatusOK, `{"success":false,"why":"album"}`)(rw, r)
		default:
			telling(http.StatusOK, `{"success":true}`)(rw, r)
		}
	}
	onFakeTime(t, 9, handler, func(w *world) {
		w.method("POST")
		w.rule(rules.Accept, `409:.error=="exists"`)
		w.rule(rules.Reject, "success")
		lines := w.results()
		s := w.journaled()
		w.ended(s, exit.Items, 6, 3, 0, 0, 0)
		if q := s.Requests; q.Accepted != 6 || q.Sent != 9 || q.Errors != 3 {
			t.Errorf("%+v", q)
		}
		for _, line := range lines() {
			n := (line.Path[len(line.Path)-1] - '0') % 3
			if want := map[byte]item.Fate{0: item.Delivered, 1: item.Failed,
				2: item.Delivered}[n]; line.Status != want {
				t.Errorf("%+v, want %s", line, want)
			}
			if n == 0 && (line.HTTPStatus != 409 || line.Error != "") {
				t.Errorf("%+v", line)
			}
		}
		if last := w.watch.snapshots[len(w.watch.snapshots)-1]; last.Accepted != 6 ||
			last.Delivered != 6 || last.Failed != 3 {
			t.Errorf("%+v", last)
		}
		w.says(s, `: 200 OK: rejected by --reject success: `+
			`{"success":false,"why":"album"}`)
		w.logged("level=WARN", 0)
		rows := map[item.Fate]int{}
		r, err := journal.OpenReader(w.db)
		test.OK(t, err)
		defer r.Close()
		for row, err := range r.Items(0) {
			test.OK(t, err)
			rows[row.State]++
		}
		if rows[item.Delivered] != 6 || rows[item.Failed] != 3 {
			t.Errorf("the journal has %v", rows)
		}
		// Only those that failed are sent once more.
		w.Results = nil
		if again := w.journaled(); again.Items.Skipped != 6 || again.Items.Failed != 3 {
			t.Errorf("again: %+v", again.Items)
		}
	})
}

// A server that takes nothing by the rules is given up, and the rules are named.
func TestAllRejected(t *testing.T) {
	onFakeTime(t, 40, telling(200, `{"success":false}`), func(w *world) {
		w.Limits.InFlight = 1
		w.rule(rules.Accept, "2xx:.success==true")
		s := w.run()
		if s.ExitStatus != exit.Refused || s.Items.Delivered != 0 || s.Items.Failed > 25 {
			t.Errorf("exit status %d, %+v", s.ExitStatus, s.Items)
		}
		w.says(s, " answers were 200 OK and nothing was accepted: check the rules (--accept, --reject)")
	})
}

// A rule that accepts what is answered early spares the file. A 2xx must come after the whole file.
func TestAcceptedEarly(t *testing.T) {
	for status, want := range map[int]int{409: exit.Delivered, 200: exit.Items} {
		onFakeTime(t, 1, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Connection", "close")
			rw.WriteHeader(status)
			_ = http.NewResponseController(rw).Flush()
		}, func(w *world) {
			test.OK(t, os.Truncate(w.firstFile(), 8<<20))
			w.Attempts = 1
			w.rule(rules.Accept, "200,409")
			if s := w.run(); s.ExitStatus != want {
				t.Errorf("%d: exit status %d\n%s", status, s.ExitStatus, errorsOf(s))
			}
		})
	}
}
