package send

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/plan"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/test"
)

// plan is what a dry run says.
func (w *world) plan() plan.Left {
	w.Helper()
	v, err := journal.OpenView(w.db)
	test.OK(w, err)
	defer v.Close()
	left, err := w.Options.Plan(v, 10)
	test.OK(w, err)
	return left
}

// skipped is how many items a dry run skips.
func skipped(l plan.Left) (n int64) {
	for _, k := range l.Skipped {
		n += k
	}
	return n
}

// [dry run] A dry run says what the run does then.
func TestPlanIsWhatTheRunDoes(t *testing.T) {
	touch := func(w *world) {
		now := time.Now().Add(time.Hour)
		test.OK(w, os.Chtimes(w.firstFile(), now, now))
		w.method(http.MethodPost)
	}
	for _, c := range []struct {
		name   string
		method string
		to     string
		status int            // of the answers to the first run
		first  func(w *world) // before the first run
		then   func(w *world) // before the second
		lines  string         // a manifest instead
	}{
		{name: "new", method: "PUT", status: 201},
		{name: "in doubt", method: "POST", status: 500},
		{name: "in doubt, to be verified, at one URL", method: "POST", to: "http://127.0.0.1/all",
			status: 500, then: func(w *world) { w.Verify = true }},
		{name: "in doubt, to be verified", method: "POST", status: 500,
			then: func(w *world) { w.Verify = true }},
		{name: "failed", method: "PUT", status: 500, first: func(w *world) { w.Attempts = 1 }},
		{name: "a key that is too old", method: "POST", status: 500,
			first: func(w *world) {
				w.Attempts, w.Idempotency = 1, resume.Idempotency{Header: "Idempotency-Key",
					Lifetime: time.Hour}
			},
			then: func(w *world) { time.Sleep(2 * time.Hour) }},
		{name: "delivered, touched, with a digest", method: "POST", status: 201,
			first: func(w *world) { w.Digest = true }, then: touch},
		{name: "what failed only", method: "PUT", status: 400,
			then: func(w *world) { w.Only = item.FatesOf(item.Failed) }},
		{name: "twice, and without a body", method: "POST", status: 201,
			lines: `{"path":"f","url":"http://127.0.0.1/a"}` + "\n" +
				`{"path":"f","url":"http://127.0.0.1/a"}` + "\n" +
				`{"path":"f","url":"http://127.0.0.1/b","headers":{"A":"1"}}` + "\n" +
				`{"path":"f","url":"http://127.0.0.1/b","headers":{"A":"1"}}` + "\n" +
				`{"path":"f","url":"http://127.0.0.1/c","method":"GET"}` + "\n" +
				`{"path":"none","url":"http://127.0.0.1/d"}` + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status := c.status
			var sent atomic.Int64
			onFakeTime(t, 3, func(rw http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if r.Method == "GET" || r.Method == "HEAD" {
					rw.WriteHeader(http.StatusForbidden) // and so it cannot be known
					return
				}
				sent.Add(1)
				rw.WriteHeader(status)
			}, func(w *world) {
				if c.to != "" {
					w.To = c.to
				}
				w.method(c.method)
				if c.lines != "" {
					dir := w.TempDir()
					test.OK(w, errors.Join(write(filepath.Join(dir, "f"), []byte("x")),
						write(filepath.Join(dir, "m"), []byte(c.lines))))
					w.from("http://127.0.0.1/{path}",
						source.Options{Manifest: filepath.Join(dir, "m"), Method: "POST"})
				}
				if c.first != nil {
					c.first(w)
				}
				agree := func(when string) {
					w.Helper()
					left := w.plan()
					sent.Store(0)
					i := w.journaled().Items
					if sent.Load() != left.Items-left.Asked || i.Skipped != skipped(left) ||
						i.Unknown != left.Unknown+left.Asked && status == 201 ||
						status == 201 && i.Failed != left.Failed {
						w.Errorf("%s: the plan is %+v; sent %d: %+v", when, left, sent.Load(), i)
					}
				}
				agree("first")
				time.Sleep(time.Minute)
				if status = 201; c.then != nil {
					c.then(w)
				}
				agree("then")
			})
		})
	}
}

// A line's own key header does not replace the key that the journal notes.
func TestKeysAreOnesOwn(t *testing.T) {
	onFakeTime(t, 0, atOnce, func(w *world) {
		dir := w.TempDir()
		lines := `{"path":"a","headers":{"Idempotency-Key":"same"}}` + "\n" +
			`{"path":"b","headers":{"Idempotency-Key":"same"}}` + "\n"
		test.OK(w, errors.Join(write(filepath.Join(dir, "a"), nil),
			write(filepath.Join(dir, "b"), nil), write(filepath.Join(dir, "m"),
				[]byte(lines))))
		w.from("http://127.0.0.1/{name}", source.Options{Manifest: filepath.Join(dir, "m"),
			Method: "POST"})
		w.Idempotency = keys
		w.ended(w.run(), exit.Delivered, 2, 0, 0, 0, 0)
		if a, b := w.keys("/a"), w.keys("/b"); len(a) != 1 || len(b) != 1 || a[0] == b[0] {
			w.Errorf("the keys are %q and %q", a, b)
		}
	})
}

// A dry run names the waits that the run would obey.
func TestPlanNamesWaits(t *testing.T) {
	onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}, func(w *world) {
		w.Workers, w.MaxWait = 1, time.Minute
		w.ended(w.journaled(), exit.Unavailable, 0, 0, 0, 1, 1)
		until := w.begin.Add(time.Hour)
		time.Sleep(time.Until(w.begin.Add(10 * time.Minute)))

		left := w.plan()
		if len(left.Waits) != 1 || left.Waits[0].Origin != "http://127.0.0.1" ||
			!left.Waits[0].Until.Equal(until) {
			t.Fatalf("%+v", left.Waits)
		}
		if d, by := w.Earliest(left.Waits, time.Now()); by != "" {
			t.Errorf("a run that does not wait is done after %v, by %s", d, by)
		}
		if left.Items != 0 || left.Held != 2 {
			t.Errorf("would send %d, not %d", left.Items, left.Held)
		}
		w.MaxWait, w.Limits.Rate = time.Hour, 1
		left = w.plan()
		if w.Found.Items = left.Items; left.Items != 2 || left.Held != 0 {
			t.Errorf("would send %d, not %d", left.Items, left.Held)
		}
		if d, by := w.Earliest(left.Waits, time.Now()); d != 50*time.Minute+time.Second ||
			by != "the wait that http://127.0.0.1 asked for" {
			t.Errorf("done after %v, by %s", d, by)
		}
		w.to("http://localhost/{path}")
		if left := w.plan(); len(left.Waits) > 0 {
			t.Errorf("another server: %+v", left.Waits)
		}
	})
}

// A wait that is too long for the run holds the files of its own server only.
func TestPlanOfSeveralServers(t *testing.T) {
	onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "busy" {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}, func(w *world) {
		manifest := filepath.Join(w.TempDir(), "m")
		lines := fmt.Sprintf("{\"path\":%[1]q,\"url\":\"http://busy/0\"}\n"+
			"{\"path\":%[1]q,\"url\":\"http://free/0\"}\n"+
			"{\"path\":%[1]q,\"url\":\"http://free/1\"}\n", w.firstFile())
		test.OK(t, os.WriteFile(manifest, []byte(lines), 0o600))
		w.from("http://free/{name}", source.Options{Manifest: manifest})
		w.Limits.Rate, w.MaxWait = 1, time.Minute
		w.items(w.journaled(), report.ItemCounts{Total: 3, Delivered: 2, Deferred: 1})

		time.Sleep(time.Second)
		w.Again = time.Now()
		left := w.plan()
		w.Found.Items = left.Items
		if d, by := w.Earliest(left.Waits, time.Now()); left.Items != 2 || left.Held != 1 ||
			d != time.Second || by != "1 req/s" {
			t.Errorf("%+v; done after %v by %q", left, d, by)
		}
		w.watch.talk.Reset()
		s := w.journaled()
		w.items(s, report.ItemCounts{Total: 3, Delivered: 2, Deferred: 1})
		w.says(s, "http://busy/0: nothing was sent: asked to wait until 2000-01-01T01:00:00Z, "+
			"longer than --max-wait 1 m")
		if talk := w.watch.talk.String(); strings.Contains(talk, "paused until then") {
			t.Errorf("a pause that does not come:\n%s", talk)
		}
	})
}
