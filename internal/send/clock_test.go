package send

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/throttle"
)

// A run is broken off while the server works on a file that it will accept, and the
// next one has another time: the machine was off for a while, or its clock was set.
func TestClockJumps(t *testing.T) {
	const d, u = item.Delivered, item.Unknown
	for _, c := range []struct {
		name           string
		jump           time.Duration
		put, key, post item.Fate // what the next run says of that file
	}{
		{"at once", 0, d, d, u},
		{"an hour later", time.Hour, d, d, u},
		{"when the server has forgotten the key", 25 * time.Hour, d, u, u},
		{"a year later", 365 * 24 * time.Hour, d, u, u},
		{"set back by a minute", -time.Minute, d, d, u},
		{"set back by a day", -24 * time.Hour, d, u, u},
		{"set back by thirty years", -30 * 365 * 24 * time.Hour, d, u, u},
	} {
		for way, want := range map[sending]item.Fate{byPut: c.put, byKey: c.key, byTrust: c.post} {
			t.Run(way.String()+" "+c.name, func(t *testing.T) {
				t.Parallel()
				w := &clockWorld{dir: t.TempDir(), way: way, times: map[string]int{}}
				// Fake time always begins at the same instant.
				const epoch = 40 * 365 * 24 * time.Hour
				first := w.run(t, epoch, 3*time.Second)
				if i := first.Items; i.Delivered != 2 || i.Delivered+i.Unknown+i.Deferred+i.Remaining != 4 || first.ExitStatus != exit.Interrupted {
					t.Fatalf("exit status %d, %+v", first.ExitStatus, i)
				}
				second := w.run(t, epoch+c.jump, 0)
				rest := report.ItemCounts{Total: 4, Skipped: 2, Delivered: 2}
				if want == u {
					rest.Delivered, rest.Unknown = 1, 1
				}
				if second.Items != rest {
					t.Errorf("%+v, want %+v\n%s", second.Items, rest, errorsOf(second))
				}
				for name, n := range w.times {
					if most := map[bool]int{false: 1, true: 2}[way != byTrust && want == d && name == "/2"]; n > most {
						t.Errorf("%s was sent %d times", name, n)
					}
				}
				if len(w.times) != 4 {
					t.Errorf("the server was sent %v", w.times)
				}
			})
		}
	}
}

// A clockWorld has four files, a server that takes a second for each, and a journal.
type clockWorld struct {
	dir string
	way sending

	mu    sync.Mutex
	times map[string]int // that the server was sent a file
}

func (w *clockWorld) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.mu.Lock()
	w.times[r.URL.Path]++
	w.mu.Unlock()
	time.Sleep(time.Second)
	rw.WriteHeader(http.StatusCreated)
}

// run does a run so long after the beginning of fake time. If stop is not zero it
// is broken off half a second before that.
func (w *clockWorld) run(t *testing.T, at, stop time.Duration) (s report.Summary) {
	data := filepath.Join(w.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0", "1", "2", "3"} {
		if _, err := os.Stat(filepath.Join(data, name)); err == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(data, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(at)
		l := memnet.Listen()
		var handling sync.WaitGroup
		server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			handling.Add(1)
			defer handling.Done()
			w.ServeHTTP(rw, r)
		})}
		go server.Serve(l)
		defer handling.Wait()
		defer server.Close()

		j, err := journal.Open(t.Context(), journal.Options{Path: filepath.Join(w.dir, "journal.db"), Started: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		var talk bytes.Buffer
		o := Options{
			To: "http://127.0.0.1/{name}", Limits: throttle.Limits{InFlight: 1}, GiveUpAfter: time.Hour, Attempts: 8, Journal: j,
			Network:  wire.Network{StallTimeout: time.Minute, Dial: l.DialContext},
			Progress: new(watcher), Log: slog.New(slog.NewTextHandler(&talk, nil)),
		}
		from := source.Options{Paths: []string{data}, Method: http.MethodPost}
		switch w.way {
		case byPut:
			from.Method = http.MethodPut
		case byKey:
			o.Idempotency = Idempotency{Header: "Idempotency-Key", Lifetime: 24 * time.Hour}
		}
		if from.Template, err = source.ParseTemplate(o.To); err != nil {
			t.Fatal(err)
		}
		if o.Source, err = source.New(from); err != nil {
			t.Fatal(err)
		}
		if o.Found, err = o.Source.Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, breakOff := context.WithCancelCause(t.Context())
		defer breakOff(nil)
		if stop > 0 {
			time.AfterFunc(stop-time.Second/2, func() { breakOff(&exit.Signal{Signal: os.Interrupt}) })
		}
		s = Run(ctx, ctx, o)
	})
	return s
}
