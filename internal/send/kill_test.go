package send

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
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
	const files, size = 2000, 4 << 10
	bin, dir := buildPenstock(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	var all []*chaosFile
	rnd := rand.NewChaCha8([32]byte{})
	content := make([]byte, size)
	for i := range files {
		_, _ = rnd.Read(content)
		f := &chaosFile{path: filepath.Join("data", fmt.Sprintf("%04d", i)), name: fmt.Sprintf("/%04d", i), sums: []string{sumOf(content)}}
		all = append(all, f)
		if err := os.WriteFile(filepath.Join(dir, f.path), content, 0o600); err != nil {
			t.Fatal(err)
		}
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
				lost, claimed, twice, missed = lost+k.lost, claimed+k.claimed, twice+k.twice, missed+1-k.kills
				mostTwice, inFlight = max(mostTwice, k.twice), max(inFlight, k.maxInFlight)
				unknown = max(unknown, k.unknown)
				t.Logf("killed after %v, %d delivered by then; %d accepted twice, at most %d in flight, %d unknown", k.after, k.before, k.twice, k.maxInFlight, k.unknown)
			}
			t.Logf("%d rounds of %d files of %d bytes, which take %v, %d too late to be killed: %d lost, %d falsely delivered, %d accepted twice, at most %d in a round; %d unknown; at most %d in flight",
				*killRounds, files, size, whole.took.Round(time.Millisecond), missed, lost, claimed, twice, mostTwice, unknown, inFlight)
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

// play sends the files to a new server, kills that after a while, if that is not
// zero, and does it again.
func (k *killed) play(t *testing.T, bin, dir string, after time.Duration) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	params := []string{"flaky", "--keys=honour"}
	for _, fault := range labFaults {
		params = append(params, "--"+fault+"=0")
	}
	server, err := startLab(bin, params...)
	if err != nil {
		t.Fatal(err)
	}
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
		if err != nil {
			t.Fatal(err)
		}
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
		if err != nil {
			t.Fatal(err)
		}
		k.record = labRecord(stats)
		k.maxInFlight = stats.MaxInFlight
		ends, err := journalOf(bin, dir, p, k.files)
		if err != nil {
			t.Fatal(err)
		}
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
		k.before = len(slices.DeleteFunc(slices.Clone(k.files), func(f *chaosFile) bool { return f.final != item.Delivered }))
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
