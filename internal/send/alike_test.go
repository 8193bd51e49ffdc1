package send

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
)

// tree makes files in directories and sends them all, by PUT to their paths.
func (w *world) tree(files map[string]int) {
	w.Helper()
	root := w.TempDir()
	for dir, n := range files {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			w.Fatal(err)
		}
		for i := range n {
			if err := os.WriteFile(filepath.Join(root, dir, fmt.Sprintf("%05d", i)), []byte("x"), 0o600); err != nil {
				w.Fatal(err)
			}
		}
	}
	w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{root}})
}

// When a server begins to refuse everything, the run ends soon, whatever was accepted before. What is
// left is sent by the same command once the cause is gone.
func TestRefusedFromSomewhereOn(t *testing.T) {
	const good, all = 60, 400
	for i, c := range []struct {
		status int
		dirs   map[string]int
		most   int // sent in vain beside those in flight
		says   string
	}{
		{401, map[string]int{"a": all}, 10, "401 Unauthorized and nothing was accepted since the first of them: check the credentials; give a new token if the old one has expired, then run the same command again"},
		{402, map[string]int{"a": all}, 10, "402 Payment Required and nothing was accepted since the first of them: the account has no credit left"},
		{407, map[string]int{"a": all}, 10, "407 Proxy Authentication Required and nothing was accepted since the first of them: check the user name and password in --proxy"},
		{507, map[string]int{"a": all}, 10, "507 Insufficient Storage and nothing was accepted since the first of them: the server's storage is full"},
		{403, map[string]int{"a": all}, 20, "403 Forbidden and nothing was accepted since the first of them: check what the account is allowed to do"},
		{403, map[string]int{"a": all / 2, "b": all / 2}, 20, "403 Forbidden"},
		{422, map[string]int{"a": 70, "b": all - 70}, 20, "422 Unprocessable Entity"},
		{404, map[string]int{"a": all}, 20, "404 Not Found and nothing was accepted since the first of them: check the URL"},
		{501, map[string]int{"a": all}, 20, "501 Not Implemented"},
		{505, map[string]int{"a": all}, 20, "505 HTTP Version Not Supported"},
		{508, map[string]int{"a": all}, 20, "508 Loop Detected"},
		{511, map[string]int{"a": all}, 20, "511 Network Authentication Required"},
		{301, map[string]int{"a": all}, 20, "301 Moved Permanently and nothing was accepted since the first of them: check the URL, and send to where the redirect leads"},
	} {
		t.Run(fmt.Sprint(c.status, len(c.dirs)), func(t *testing.T) {
			race.Few(t, i)
			var accepted, refused atomic.Int64
			var mended atomic.Bool
			onFakeTime(t, 0, func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(50 * time.Millisecond)
				if !mended.Load() && accepted.Load() >= good {
					refused.Add(1)
					if c.status == 301 {
						w.Header().Set("Location", "/elsewhere")
					}
					w.WriteHeader(c.status)
					return
				}
				accepted.Add(1)
				w.WriteHeader(http.StatusCreated)
			}, func(w *world) {
				w.tree(c.dirs)
				w.Limits.InFlight = 8
				name := filepath.Join(w.TempDir(), "j.db")
				w.journal(name)
				s := w.run()
				if n := int(refused.Load()); n < c.most || n > c.most+w.Limits.InFlight {
					t.Errorf("%d were sent in vain", n)
				}
				n, failed := accepted.Load(), refused.Load()
				w.ended(s, ExitRefused, n, failed, 0, 0, all-n-failed)
				if !strings.Contains(errorsOf(s), c.says) {
					t.Errorf("it says\n%s", errorsOf(s))
				}

				mended.Store(true)
				w.journal(name)
				s = w.run()
				if s.ExitStatus != ExitDelivered || s.Items.Delivered != all-n || s.Items.Skipped != n || accepted.Load() != all {
					t.Errorf("with a new token: exit status %d, %+v\n%s", s.ExitStatus, s.Items, errorsOf(s))
				}
			})
		})
	}
}

// The answers of which twenty alike end a run are those that fail a file for good. The help names them.
func TestIsFinal(t *testing.T) {
	for status := 300; status <= 599; status++ {
		want := status <= 499 || status == 501 || 505 <= status && status <= 511
		if got := isFinal(status); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
	help := strings.Join(strings.Fields(ExitStatuses), " ")
	if want := "401, 402, 407 or 507, or twenty alike by another 3xx, 4xx, 501 or 505 to 511;"; !strings.Contains(help, want) {
		t.Errorf("the help does not say %q:\n%s", want, help)
	}
}

// A 409 to a PUT is a refusal also with --idempotent: no attempt before may have been accepted.
func TestConflictsWithKeys(t *testing.T) {
	onFakeTime(t, 25, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusConflict) }, func(w *world) {
		w.Idempotency = keys
		w.Limits.InFlight = 1
		w.Workers = 1
		s := w.run()
		w.ended(s, ExitRefused, 0, 20, 0, 0, 5)
		if !strings.Contains(errorsOf(s), "the last 20 answers were 409 Conflict and nothing was accepted") {
			t.Errorf("it says\n%s", errorsOf(s))
		}
	})
}

// An acceptance begins the count anew, and so does another refusal.
func TestNotAlikeInARow(t *testing.T) {
	for _, c := range []struct{ status, every, other int }{{401, 10, 201}, {404, 20, 201}, {401, 10, 404}, {404, 20, 401}} {
		var n atomic.Int64
		onFakeTime(t, 100, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%int64(c.every) == 0 {
				w.WriteHeader(c.other)
			} else {
				w.WriteHeader(c.status)
			}
		}, func(w *world) {
			w.Limits.InFlight = 1
			if s := w.run(); s.ExitStatus != ExitItems || s.Items.Remaining > 0 {
				t.Errorf("%+v: exit status %d, %+v\n%s", c, s.ExitStatus, s.Items, errorsOf(s))
			}
		})
	}
}

// A directory of bad files does not keep those of others from being sent, wherever it is in the order.
func TestBadDirectory(t *testing.T) {
	for _, bad := range []string{"a", "b", "c"} {
		onFakeTime(t, 0, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Millisecond)
			if strings.HasPrefix(r.URL.Path, "/"+bad+"/") {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			w.WriteHeader(http.StatusCreated)
		}, func(w *world) {
			w.tree(map[string]int{"a": 100, "b": 100, "c": 100})
			w.Limits.InFlight = 4
			w.ended(w.run(), ExitItems, 200, 100, 0, 0, 0)
		})
	}
}

// A server that refuses everything does not end the run for the others.
func TestOneServerRefusesAll(t *testing.T) {
	for _, status := range []int{401, 404} {
		var refused atomic.Int64
		onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "127.0.0.2" {
				refused.Add(1)
				w.WriteHeader(status)
				return
			}
			accept(w, r, 50*time.Millisecond)
		}, func(w *world) {
			var lines strings.Builder
			for i := range 100 {
				fmt.Fprintf(&lines, "{\"path\":%q,\"url\":\"http://127.0.0.%d/%d\"}\n", w.firstFile(), 1+i%2, i)
			}
			w.manifest(lines.String())
			w.Limits.InFlight = 4
			s := w.run()
			n := refused.Load()
			w.ended(s, ExitRefused, 50, n, 0, 50-n, 0)
			if n > 24 || !strings.Contains(errorsOf(s), "127.0.0.2: the last ") {
				t.Errorf("%d in vain:\n%s", n, errorsOf(s))
			}
		})
	}
}

// What to do about a refusal of the account is said however few files there are.
func TestAdviceAtAnyCount(t *testing.T) {
	for status, says := range map[int]string{
		401: "5 files: 401 Unauthorized: check the credentials",
		403: "5 files: 403 Forbidden: check what the account is allowed to do, and the URL",
		507: "5 files: 507 Insufficient Storage: the server's storage is full",
	} {
		onFakeTime(t, 5, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }, func(w *world) {
			s := w.run()
			w.ended(s, ExitItems, 0, 5, 0, 0, 0)
			if !strings.Contains(errorsOf(s), says) {
				t.Errorf("it says\n%s", errorsOf(s))
			}
		})
	}
}

// Files that fail each time are sent after the new ones, and do not end the run.
func TestFailedBeforeGoLast(t *testing.T) {
	for _, from := range []string{"directory", "manifest", "stdin"} {
		t.Run(from, func(t *testing.T) {
			var s shelf
			s.do = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "bad") {
					w.WriteHeader(http.StatusUnprocessableEntity)
					return true
				}
				return false
			}
			onFakeTime(t, 0, s.ServeHTTP, func(w *world) {
				dir := w.TempDir()
				var names []string
				add := func(name string) {
					if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
						t.Fatal(err)
					}
					names = append(names, filepath.Join(dir, name))
				}
				const bad = 60
				for i := range bad {
					add(fmt.Sprintf("bad%03d", i))
				}
				w.Limits.InFlight = 1
				journalName := filepath.Join(w.TempDir(), "j.db")
				run := func() report.Summary {
					switch from {
					case "directory":
						w.from("http://127.0.0.1/{name}", source.Options{Paths: []string{dir}})
					case "stdin":
						w.stdin("http://127.0.0.1/{name}", "PUT", names...)
					case "manifest":
						var lines strings.Builder
						for _, name := range names {
							fmt.Fprintf(&lines, "{\"path\":%q}\n", name)
						}
						w.manifest(lines.String())
					}
					w.journal(journalName)
					return w.run()
				}
				var sum report.Summary
				for range 3 { // until each of them has failed
					s.calls = nil
					if sum = run(); sum.ExitStatus != ExitRefused || s.count() != 20 {
						t.Errorf("exit status %d after %d requests", sum.ExitStatus, s.count())
					}
				}
				for i := range 3 {
					s.calls = nil
					add(fmt.Sprintf("good%d", i))
					sum = run()
					if sum.Items.Delivered != 1 || sum.Items.Failed != bad || sum.ExitStatus != ExitItems {
						t.Errorf("exit status %d, %+v\n%s", sum.ExitStatus, sum.Items, errorsOf(sum))
					}
					if len(s.calls) == 0 || s.calls[0] != fmt.Sprintf("PUT /good%d", i) {
						t.Errorf("first of all it sent %.3q", s.calls)
					}
				}
				// By request they are sent, and nothing else is.
				s.calls = nil
				w.Only = []journal.State{journal.Failed}
				if sum = run(); sum.Items.Failed != bad || s.count() != bad {
					t.Errorf("--only failed: %+v, %d requests", sum.Items, s.count())
				}
			})
		})
	}
}

// What was put aside does not wait for the end of a list that has none.
func TestAsideOfSilentStdin(t *testing.T) {
	var n atomic.Int64
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		file, name := w.firstFile(), filepath.Join(w.TempDir(), "j.db")
		w.stdin("http://127.0.0.1/{name}", "PUT", file)
		w.journal(name)
		w.ended(w.run(), ExitItems, 0, 1, 0, 0, 0)
		in, out := io.Pipe()
		defer out.Close()
		go io.WriteString(out, file+"\n")
		w.from("http://127.0.0.1/{name}", source.Options{Paths: []string{"-"}, Stdin: in, Method: "PUT"})
		w.journal(name)
		w.MaxDuration = time.Minute
		w.run()
		if n.Load() != 2 {
			t.Errorf("%d requests", n.Load())
		}
	})
}
