package send

import (
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
)

// A run is broken off while the server works on a file that it will accept, and the next one has
// another time: the machine was off for a while, or its clock was set.
func TestClockJumps(t *testing.T) {
	const d, u = item.Delivered, item.Unknown
	for _, c := range []struct {
		name           string
		jump           time.Duration
		put, key, post item.Fate // what the next run says of that file
	}{
		{"an hour later", time.Hour, d, d, u},
		{"when the server has forgotten the key", 25 * time.Hour, d, u, u},
		{"set back by a minute", -time.Minute, d, d, u},
		{"set back by a day", -24 * time.Hour, d, u, u},
	} {
		for way, want := range map[sending]item.Fate{byPut: c.put, byKey: c.key, byTrust: c.post} {
			t.Run(way.String()+" "+c.name, func(t *testing.T) {
				t.Parallel()
				// Fake time always begins at the same instant.
				const epoch = 40 * 365 * 24 * time.Hour
				name, dir := filepath.Join(t.TempDir(), "j.db"), ""
				var mu sync.Mutex
				times := map[string]int{} // that the server was sent a file
				run := func(at, stop time.Duration) (s report.Summary) {
					onFakeTime(t, 4, func(w http.ResponseWriter, r *http.Request) {
						mu.Lock()
						times[r.URL.Path]++
						mu.Unlock()
						accept(w, r, time.Second)
					}, func(w *world) {
						time.Sleep(at)
						if dir == "" {
							dir = filepath.Dir(w.firstFile())
						}
						method := http.MethodPost
						switch way {
						case byPut:
							method = http.MethodPut
						case byKey:
							w.Idempotency = keys
						}
						w.from("http://127.0.0.1/{name}",
							source.Options{Paths: []string{dir}, Method: method})
						w.Limits.InFlight, w.Attempts = 1, 8
						w.journal(name)
						s = w.stopped(0, stop)
					})
					return s
				}
				first := run(epoch, 2500*time.Millisecond)
				if i := first.Items; i.Delivered != 2 ||
					i.Delivered+i.Unknown+i.Deferred+i.Remaining != 4 ||
					first.ExitStatus != exit.Interrupted {
					t.Fatalf("exit status %d, %+v", first.ExitStatus, i)
				}
				second := run(epoch+c.jump, 0)
				rest := report.ItemCounts{Total: 4, Skipped: 2, Delivered: 2}
				if want == u {
					rest.Delivered, rest.Unknown = 1, 1
				}
				if second.Items != rest {
					t.Errorf("%+v, want %+v\n%s", second.Items, rest, errorsOf(second))
				}
				for name, n := range times {
					if most := map[bool]int{false: 1, true: 2}[way != byTrust && want == d &&
						name == "/00002"]; n > most {
						t.Errorf("%s was sent %d times", name, n)
					}
				}
				if len(times) != 4 {
					t.Errorf("the server was sent %v", times)
				}
			})
		}
	}
}
