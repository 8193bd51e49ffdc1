package send

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
)

// asKilled returns a copy of a journal in use, as a run would leave it that is killed now.
func asKilled(t *testing.T, name string) string {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(name + suffix)
		if err == nil {
			err = os.WriteFile(name+"2.db"+suffix, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return name + "2.db"
}

// A run that goes on after one that was killed says what becomes of the files that were in flight.
// Those that may not be repeated are not sent again.
func TestKilledInFlight(t *testing.T) {
	for _, c := range []struct {
		method      string
		noOverwrite bool
		lines       bool // of a manifest, which have the method
		only        []item.Fate
		want        string
		unknown     int64
	}{
		{method: "PUT", want: "1 delivered; last run was cut off today TIME, and files that were in flight are sent again"},
		{method: "PUT", noOverwrite: true, want: "1 delivered, 3 in flight; last run was cut off today TIME"},
		{method: "POST", want: "1 delivered, 3 in flight; last run was cut off today TIME", unknown: 3},
		{method: "PUT", only: []item.Fate{item.Failed}, want: "1 delivered; last run was cut off today TIME"}, // they have no state
		{method: "PUT", lines: true, want: "1 delivered; last run was cut off today TIME"},
		{method: "POST", lines: true, want: "1 delivered, 3 in flight; last run was cut off today TIME", unknown: 3},
	} {
		name := filepath.Join(t.TempDir(), "j.db")
		var killed string
		onFakeTime(t, 4, func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/00000") {
				time.Sleep(30 * time.Second)
			}
			rw.WriteHeader(http.StatusCreated)
		}, func(w *world) {
			files := func() { w.method(c.method) }
			if c.lines {
				var lines strings.Builder
				for it := range w.Source.Items() {
					fmt.Fprintf(&lines, "{\"path\":%q,\"url\":%q,\"method\":%q}\n", it.Path, it.URL, c.method)
				}
				files = func() { w.manifest(lines.String()) }
			}
			files()
			w.NoOverwrite, w.Limits.InFlight = c.noOverwrite, 4
			w.journal(name)
			kill := time.AfterFunc(10*time.Second, func() { killed = asKilled(t, name) })
			defer kill.Stop()
			w.run()

			files()
			w.Only = c.only
			w.journal(killed)
			w.watch.talk.Reset()
			if i := w.run().Items; i.Unknown != c.unknown || i.Unknown+i.Delivered+i.Skipped != i.Total {
				t.Errorf("%+v: %+v", c, i)
			}
			if talk := w.watch.talk.String(); !strings.Contains(talk, "continues: "+strings.Replace(c.want, "TIME", w.begin.Local().Format("15:04"), 1)+`"`) {
				t.Errorf("%+v: it says %s", c, talk)
			}
		})
	}
}

// a run that was killed says nothing of when its last attempt ended.
func TestKilledSettles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, new(shelf).ServeHTTP, func(w *world) {
		w.method("POST")
		w.Verify = true
		w.journal(name)
		r := newRun(w.Options)
		for it := range w.Source.Items() {
			j, _ := r.claim(it)
			j.First = time.Now()
			if err := r.Journal.Begin(context.Background(), r.row(j, item.InFlight)); err != nil {
				w.Fatal(err)
			}
		}
		time.Sleep(time.Hour) // it is a large file
		name2 := asKilled(t, name)
		r.Journal.Close(0)
		_ = r.pool.Drain(context.Background())

		w.journal(name2)
		r = newRun(w.Options)
		for it := range w.Source.Items() {
			j, wanted := r.claim(it)
			if wanted {
				t.Errorf("asked at once: its attempt ended %v ago, so it thinks", time.Since(j.Ended))
			}
		}
		r.Journal.Close(0)
		_ = r.pool.Drain(context.Background())
	})
}
