package send

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

var killRounds = flag.Int("rounds", 2, "of TestKill")

// [exit] [at least once] A run that is killed at a random moment, and started again, loses nothing,
// claims nothing, and sends little twice.
//
//	go test -run TestKill ./internal/send -v -rounds 100
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	const files, size = 1000, 4 << 10
	bin, dir := buildPenstock(t), t.TempDir()
	test.OK(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	var all []*chaosFile
	rnd := rand.NewChaCha8([32]byte{})
	content := make([]byte, size)
	for i := range files {
		_, _ = rnd.Read(content)
		f := &chaosFile{path: filepath.Join("data", fmt.Sprintf("%04d", i)),
			name: fmt.Sprintf("/%04d", i), sums: []string{sumOf(content)}}
		all = append(all, f)
		test.OK(t, os.WriteFile(filepath.Join(dir, f.path), content, 0o600))
	}

	for _, c := range []struct {
		way   sending
		limit int // of requests in flight
	}{{byPut, 0}, {byPut, 16}, {byKey, 0}, {byTrust, 0}, {byTrust, 48}} {
		t.Run(fmt.Sprintf("%v, limit %d", c.way, c.limit), func(t *testing.T) {
			// How long it takes where nobody kills it.
			whole := newKilled(c.way, c.limit, all)
			whole.play(t, bin, dir, 0)
			var lost, claimed, inFlight, missed, unknown int
			var twice, mostTwice int64
			for range *killRounds {
				k := newKilled(c.way, c.limit, all)
				k.play(t, bin, dir, time.Duration(rand.Int64N(int64(whole.took))))
				lost, claimed, twice, missed = lost+k.lost, claimed+k.claimed, twice+k.twice,
					missed+1-k.kills
				mostTwice, inFlight = max(mostTwice, k.twice), max(inFlight, k.maxInFlight)
				unknown = max(unknown, k.unknown)
				t.Logf("killed after %v, %d delivered by then; %d accepted twice, at most %d in "+
					"flight, %d unknown", k.after, k.before, k.twice, k.maxInFlight, k.unknown)
			}
			t.Logf("%d rounds of %d files of %d bytes, which take %v, %d too late to be killed: "+
				"%d lost, %d falsely delivered, %d accepted twice, at most %d in a round; %d "+
				"unknown; at most %d in flight",
				*killRounds, files, size, whole.took.Round(time.Millisecond), missed, lost,
				claimed, twice, mostTwice, unknown, inFlight)
		})
	}
}

// A killed is a round of TestKill.
type killed struct {
	trial
	unknown       int
	after, took   time.Duration
	before        int // delivered when it was killed
	lost, claimed int
	twice         int64
}

func newKilled(way sending, limit int, files []*chaosFile) *killed {
	return &killed{trial: trial{way: way, limit: limit, honour: true, files: files}}
}

// play sends the files to a new server, kills that after a while, if that is not zero, and does it
// again.
func (k *killed) play(t *testing.T, bin, dir string, after time.Duration) {
	t.Helper()
	test.OK(t, os.RemoveAll(filepath.Join(dir, "state")))
	params := []string{"flaky", "--keys=honour"}
	for _, fault := range labFaults {
		params = append(params, "--"+fault+"=0")
	}
	server, err := startLab(bin, params...)
	test.OK(t, err)
	defer server.kill()
	k.after = after
	args := []string{"send", "--progress=none", "--to=" + server.url + "/{name}", "data"}
	if k.limit > 0 {
		args = append(args, fmt.Sprint("--concurrency=", k.limit))
	}
	switch k.way {
	case byKey:
		args = append(args, "--idempotent")
		fallthrough
	case byTrust:
		args = append(args, "--method=POST")
	}
	begin := time.Now()
	for again := after > 0; ; again = false {
		p, err := start(bin, dir, args...)
		test.OK(t, err)
		defer p.kill()
		if again && !p.wait(after) {
			p.kill()
			k.kills++
		} else if !p.wait(time.Minute) {
			t.Fatalf("it does not end: %v", &p.said)
		}
		if status := p.status(); status != exit.Delivered && k.kills == 0 {
			t.Fatalf("exit status %d: %v", status, &p.said)
		}
		stats, err := server.stats(t.Context())
		test.OK(t, err)
		k.record = labRecord(stats)
		k.maxInFlight = stats.MaxInFlight
		ends, err := journalOf(bin, dir, p, k.files)
		test.OK(t, err)
		for _, f := range k.files {
			if f.final = ends[f]; f.final == item.Delivered {
				if k.times(f, f.sum()) == 0 {
					k.claimed++
				}
			}
		}
		if !again {
			break
		}
		k.before = len(slices.DeleteFunc(slices.Clone(k.files),
			func(f *chaosFile) bool { return f.final != item.Delivered }))
	}
	k.took = time.Since(begin)
	for _, f := range k.files {
		switch {
		case f.final == item.Unknown:
			k.unknown++
		case k.times(f, f.sum()) == 0:
			k.lost++
		}
	}
	if most := k.kills * k.unsettled(); k.unknown > most {
		k.find("%d files are unknown, want %d at most", k.unknown, most)
	}
	k.twice = k.judge()
	for _, finding := range k.findings {
		t.Errorf("killed after %v: %s", after, finding)
	}
}

// asKilled returns a copy of a journal in use, as a run would leave it that is killed now.
func asKilled(t *testing.T, name string) string {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(name + suffix)
		if err == nil {
			err = os.WriteFile(name+"2.db"+suffix, b, 0o600)
		}
		test.OK(t, err)
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
		only        item.Fates
		want        string
		unknown     int64
	}{
		{method: "PUT",
			want: "1 delivered; last run was cut off today TIME, and files that were in flight " +
				"are sent again"},
		{method: "PUT", noOverwrite: true,
			want: "1 delivered, 3 in flight; last run was cut off today TIME"},
		{method: "POST", want: "1 delivered, 3 in flight; last run was cut off today TIME",
			unknown: 3},
		// they have no state
		{method: "PUT", only: item.FatesOf(item.Failed),
			want: "1 delivered; last run was cut off today TIME"},
		{method: "PUT", lines: true, want: "1 delivered; last run was cut off today TIME"},
		{method: "POST", lines: true,
			want: "1 delivered, 3 in flight; last run was cut off today TIME", unknown: 3},
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
					fmt.Fprintf(&lines, "{\"path\":%q,\"url\":%q,\"method\":%q}\n", it.Path,
						it.URL, c.method)
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
			if i := w.run().Items; i.Unknown != c.unknown ||
				i.Unknown+i.Delivered+i.Skipped != i.Total {
				t.Errorf("%+v: %+v", c, i)
			}
			if talk := w.watch.talk.String(); !strings.Contains(talk,
				"continues: "+strings.Replace(c.want, "TIME", w.begin.Local().Format("15:04"),
					1)+`"`) {
				t.Errorf("%+v: it says %s", c, talk)
			}
		})
	}
}

// a run that was killed says nothing of when its last attempt ended.
func TestKilledSettles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, atOnce, func(w *world) {
		w.method("POST")
		w.Verify = true
		w.journal(name)
		r := newRun(w.Options)
		for it := range w.Source.Items() {
			j, _ := r.Claim(it)
			j.Left(time.Now())
			test.OK(w, r.Journal.Begin(context.Background(), r.row(j, item.InFlight)))
		}
		time.Sleep(time.Hour) // it is a large file
		name2 := asKilled(t, name)
		r.Journal.Close(0)
		_ = r.pool.Drain(context.Background())

		w.journal(name2)
		r = newRun(w.Options)
		for it := range w.Source.Items() {
			j, wanted := r.Claim(it)
			if wanted {
				t.Errorf("asked at once: its attempt ended %v ago, so it thinks",
					time.Since(j.Past().Ended))
			}
		}
		r.Journal.Close(0)
		_ = r.pool.Drain(context.Background())
	})
}
