package send

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/order"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/test"
)

// tree makes files in directories and sends them all, by PUT to their paths.
func (w *world) tree(files map[string]int) {
	w.Helper()
	root := w.TempDir()
	for dir, n := range files {
		for i := range n {
			writeFile(w.T, filepath.Join(root, dir, fmt.Sprintf("%05d", i)), "x")
		}
	}
	w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{root}})
}

// [refused] When a server begins to refuse everything, the run ends soon, whatever was accepted
// before. What is left is sent by the same command once the cause is gone.
func TestRefusedFromSomewhereOn(t *testing.T) {
	const good, all = 60, 400
	for i, c := range []struct {
		status int
		dirs   map[string]int
		most   int // sent in vain beside those in flight
		says   string
	}{
		{401, map[string]int{"a": all}, 10,
			"401 Unauthorized and nothing was accepted since the first of them: check the " +
				"credentials; give a new token if the old one has expired, then run the same " +
				"command again"},
		{402, map[string]int{"a": all}, 10,
			"402 Payment Required and nothing was accepted since the first of them: the account " +
				"has no credit left"},
		{407, map[string]int{"a": all}, 10,
			"407 Proxy Authentication Required and nothing was accepted since the first of " +
				"them: check the user name and password in --proxy"},
		{507, map[string]int{"a": all}, 10,
			"507 Insufficient Storage and nothing was accepted since the first of them: the " +
				"server's storage is full"},
		{403, map[string]int{"a": all}, 20,
			"403 Forbidden and nothing was accepted since the first of them: check what the " +
				"account is allowed to do"},
		{403, map[string]int{"a": all / 2, "b": all / 2}, 20, "403 Forbidden"},
		{422, map[string]int{"a": 70, "b": all - 70}, 20, "422 Unprocessable Entity"},
		{404, map[string]int{"a": all}, 20,
			"404 Not Found and nothing was accepted since the first of them: check the URL"},
		{501, map[string]int{"a": all}, 20, "501 Not Implemented"},
		{301, map[string]int{"a": all}, 20,
			"301 Moved Permanently and nothing was accepted since the first of them: check the " +
				"URL, and send to where the redirect leads"},
	} {
		t.Run(fmt.Sprint(c.status, len(c.dirs)), func(t *testing.T) {
			race.Few(t, i)
			t.Parallel()
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
				s := w.journaled()
				// The newest file is tried beside those in flight, also of another directory.
				if n := int(refused.Load()); n < c.most || n > c.most+w.Limits.InFlight+1 {
					t.Errorf("%d were sent in vain", n)
				}
				var last int
				if _, says, _ := strings.Cut(errorsOf(s), "the last "); says != "" {
					fmt.Sscan(says, &last)
				}
				if last < c.most || last > int(refused.Load()) {
					t.Errorf("%d were refused, it says\n%s", refused.Load(), errorsOf(s))
				}
				n, failed := accepted.Load(), refused.Load()
				w.ended(s, exit.Refused, n, failed, 0, 0, all-n-failed)
				w.says(s, c.says)

				mended.Store(true)
				s = w.journaled()
				if s.ExitStatus != exit.Delivered || s.Items.Delivered != all-n ||
					s.Items.Skipped != n || accepted.Load() != all {
					t.Errorf("with a new token: exit status %d, %+v\n%s", s.ExitStatus, s.Items,
						errorsOf(s))
				}
			})
		})
	}
}

// A 409 to a PUT is a refusal also with --idempotent: no attempt before may have been accepted.
func TestConflictsWithKeys(t *testing.T) {
	onFakeTime(t, 25, answering(http.StatusConflict), func(w *world) {
		w.Idempotency = keys
		w.Limits.InFlight = 1
		w.Workers = 1
		s := w.run()
		w.ended(s, exit.Refused, 0, 21, 0, 0, 4)
		w.says(s, "the last 21 answers were 409 Conflict and nothing was accepted")
	})
}

// An acceptance begins the count anew, and so does another refusal.
func TestNotAlikeInARow(t *testing.T) {
	for _, c := range []struct{ status, every, other int }{{401, 10, 201}, {404, 20, 201},
		{401, 10, 404}, {404, 20, 401}, {403, 10, 404}} {
		row := append(slices.Repeat([]http.HandlerFunc{answering(c.status)}, c.every-1),
			answering(c.other))
		onFakeTime(t, 100, inTurn(slices.Repeat(row, 100)...), func(w *world) {
			w.Limits.InFlight = 1
			if s := w.run(); s.ExitStatus != exit.Items || s.Items.Remaining > 0 {
				t.Errorf("%+v: exit status %d, %+v\n%s", c, s.ExitStatus, s.Items, errorsOf(s))
			}
		})
	}
}

// A directory of bad files does not keep those of others from being sent, wherever it is in the
// order.
func TestBadDirectory(t *testing.T) {
	for _, bad := range []string{"a", "b", "c"} {
		onFakeTime(t, 0, func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/"+bad+"/") {
				accept(w, r, 10*time.Millisecond)
				return
			}
			time.Sleep(10 * time.Millisecond)
			w.WriteHeader(http.StatusUnprocessableEntity)
		}, func(w *world) {
			w.tree(map[string]int{"a": 100, "b": 100, "c": 100})
			w.Limits.InFlight = 4
			w.ended(w.run(), exit.Items, 200, 100, 0, 0, 0)
		})
	}
}

// A server that refuses everything does not end the run for the others.
func TestOneServerRefusesAll(t *testing.T) {
	for _, status := range []int{401, 404} {
		onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "127.0.0.2" {
				w.WriteHeader(status)
			} else {
				accept(w, r, 50*time.Millisecond)
			}
		}, func(w *world) {
			w.hosts(2, 50)
			w.Limits.InFlight = 4
			s := w.run()
			n := int64(w.count(refused))
			w.ended(s, exit.Refused, 50, n, 0, 50-n, 0)
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
		onFakeTime(t, 5, answering(status), func(w *world) {
			s := w.run()
			w.ended(s, exit.Items, 0, 5, 0, 0, 0)
			w.says(s, says)
		})
	}
}

// [failed last] Files that fail each time are sent after the new ones, and do not end the run.
func TestFailedBeforeGoLast(t *testing.T) {
	for _, from := range []string{"directory", "manifest", "stdin"} {
		t.Run(from, func(t *testing.T) {
			onFakeTime(t, 0, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "bad") {
					w.WriteHeader(http.StatusUnprocessableEntity)
				} else {
					atOnce(w, r)
				}
			}, func(w *world) {
				dir := w.TempDir()
				var names []string
				add := func(name string) {
					writeFile(t, filepath.Join(dir, name), "x")
					names = append(names, filepath.Join(dir, name))
				}
				const bad = 60
				for i := range bad {
					add(fmt.Sprintf("bad%03d", i))
				}
				w.Limits.InFlight = 1
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
					return w.journaled()
				}
				var sum report.Summary
				for _, want := range []struct{ requests, status int }{
					// then each of them has failed
					{21, exit.Refused}, {21, exit.Refused}, {bad, exit.Items},
				} {
					w.calls = nil
					if sum = run(); sum.ExitStatus != want.status || len(w.calls) != want.requests {
						t.Errorf("exit status %d after %d requests, want %+v", sum.ExitStatus,
							len(w.calls), want)
					}
				}
				for i := range 3 {
					w.calls = nil
					add(fmt.Sprintf("good%d", i))
					sum = run()
					if sum.Items.Delivered != 1 || sum.Items.Failed != bad ||
						sum.ExitStatus != exit.Items {
						t.Errorf("exit status %d, %+v\n%s", sum.ExitStatus, sum.Items,
							errorsOf(sum))
					}
					if len(w.calls) == 0 || w.calls[0].path != fmt.Sprintf("/good%d", i) {
						t.Errorf("first of all it sent %+v", w.calls[0])
					}
				}
				// By request they are sent, and nothing else is.
				w.calls = nil
				w.Only = item.FatesOf(item.Failed)
				if sum = run(); sum.Items.Failed != bad || len(w.calls) != bad {
					t.Errorf("--only failed: %+v, %d requests", sum.Items, len(w.calls))
				}
			})
		})
	}
}

// New files are delivered in the run that finds them, however many that are refused each time sort
// before them: by a server that refuses many alike the newest file is tried before it is given up.
func TestNewFilesAreNotHeldUp(t *testing.T) {
	const bad, each = 150, 3
	for _, c := range []struct {
		name   string
		where  func(i int) string // a bad file
		good   string
		sameAt bool // all files are of one instant
		from   string
	}{
		{"they sort last", func(i int) string { return fmt.Sprintf("a/bad%03d", i) }, "a/good",
			true, "directory"},
		{"they sort in the middle", func(i int) string { return fmt.Sprintf("a/bad%03d", i) },
			"a/bad100.", false, "directory"},
		{"in another directory", func(i int) string {
			return fmt.Sprintf("%c/bad%03d", 'a'+i%3, i)
		}, "d/good", true, "directory"},
		{"in one of those directories", func(i int) string {
			return fmt.Sprintf("%c/bad%03d", 'a'+i%3, i)
		}, "b/bad100.", false, "directory"},
		{"in a directory of its own each", func(i int) string {
			return fmt.Sprintf("a%03d/bad", i)
		}, "a100/good", false, "directory"},
		{"from standard input", func(i int) string { return fmt.Sprintf("a/bad%03d", i) },
			"a/good", true, "stdin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var accepted atomic.Int64
			onFakeTime(t, 0, func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(20 * time.Millisecond)
				if r.Header.Get("Content-Length") == "3" {
					w.WriteHeader(http.StatusUnprocessableEntity)
					return
				}
				accepted.Add(1)
				w.WriteHeader(http.StatusCreated)
			}, func(w *world) {
				dir := w.TempDir()
				var names []string
				at := time.Now()
				add := func(name, text string) {
					name = filepath.Join(dir, name)
					writeFile(t, name, text)
					test.OK(t, os.Chtimes(name, at, at))
					names = append(names, name)
				}
				for i := range bad {
					add(c.where(i), "bad")
				}
				for run := range 4 {
					if !c.sameAt {
						at = at.Add(time.Minute)
					}
					for i := range each {
						add(fmt.Sprintf("%s%d%d", c.good, run, i), "good")
					}
					if c.from == "stdin" {
						w.stdin("http://127.0.0.1/{name}", "PUT", names...)
					} else {
						w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{dir}})
					}
					w.journal(w.db)
					accepted.Store(0)
					s := w.run()
					if s.Items.Delivered != each || accepted.Load() != each {
						t.Errorf("run %d: exit status %d, %+v\n%s", run+1, s.ExitStatus, s.Items,
							errorsOf(s))
					}
				}
			})
		})
	}
}

// Where the newest file is gone, or comes into doubt, that says nothing of the server: the next one
// is tried.
func TestNewestFileSaysNothing(t *testing.T) {
	for _, method := range []string{"PUT", "POST"} {
		var accepted, refused atomic.Int64
		var newest string
		onFakeTime(t, 0, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(20 * time.Millisecond)
			switch {
			case strings.Contains(r.URL.Path, "bad"):
				if refused.Add(1) == 10 && method == "PUT" {
					test.Check(t, os.Remove(newest))
				}
				w.WriteHeader(http.StatusUnprocessableEntity)
			case strings.HasSuffix(r.URL.Path, filepath.Base(newest)):
				w.WriteHeader(http.StatusInternalServerError)
			default:
				accepted.Add(1)
				w.WriteHeader(http.StatusCreated)
			}
		}, func(w *world) {
			dir, at := w.TempDir(), time.Now().Add(-time.Hour)
			for i := range 70 {
				name := fmt.Sprintf("bad%02d", i)
				if i >= 60 {
					name = fmt.Sprintf("good%d", i-60)
				}
				newest = filepath.Join(dir, name)
				writeFile(t, newest, "x")
				at = at.Add(time.Second)
				test.OK(t, os.Chtimes(newest, at, at))
			}
			w.from("http://127.0.0.1/{name}", source.Options{Paths: []string{dir}, Method: method})
			w.Limits.InFlight = 1
			s := w.run()
			if accepted.Load() != 9 || s.Items.Delivered != 9 ||
				s.Items.Failed+s.Items.Unknown < 20 {
				t.Errorf("%s: exit status %d, %+v\n%s", method, s.ExitStatus, s.Items, errorsOf(s))
			}
		})
	}
}

// A server that is down does not hold up the end of another one, which refuses everything.
func TestRefusingServerBesideOneThatIsDown(t *testing.T) {
	down := during(0, 10*time.Minute, answering(http.StatusServiceUnavailable), atOnce)
	onFakeTime(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "127.0.0.2" {
			down(w, r)
		} else {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	}, func(w *world) {
		dir := w.TempDir()
		var lines strings.Builder
		for i := range 105 {
			host := "127.0.0.1"
			if i < 5 {
				host = "127.0.0.2"
			}
			name := filepath.Join(dir, string(rune('a'+i%3)), fmt.Sprint(i))
			writeFile(t, name, "x")
			fmt.Fprintf(&lines, "{\"path\":%q,\"url\":\"http://%s/%d\"}\n", name, host, i)
		}
		w.manifest(lines.String())
		w.Limits.InFlight = 4
		s := w.run()
		n := w.count(func(c *call) bool { return c.host == "127.0.0.1" })
		late := w.count(func(c *call) bool { return c.host == "127.0.0.1" && c.at > time.Minute })
		if s.Items.Delivered != 5 || n > 24 || late > 0 {
			t.Errorf("%d refused, %d of them late: exit status %d, %+v\n%s", n, late,
				s.ExitStatus, s.Items, errorsOf(s))
		}
	})
}

// Refusals that are long over do not make a silence of standard input hold up what comes after it.
func TestSilenceAfterRefusals(t *testing.T) {
	for _, bad := range []int{5, 25} {
		var mu sync.Mutex
		var quick time.Duration
		var begin time.Time
		onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.Contains(r.URL.Path, "bad"):
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			case strings.Contains(r.URL.Path, "slow"):
				time.Sleep(50 * time.Second)
			case strings.Contains(r.URL.Path, "quick"):
				mu.Lock()
				quick = time.Since(begin)
				mu.Unlock()
			}
			w.WriteHeader(http.StatusCreated)
		}, func(w *world) {
			root := w.TempDir()
			in, out := io.Pipe()
			var writing sync.WaitGroup
			say := func(name string) {
				name = filepath.Join(root, name)
				writeFile(t, name, "x")
				_, _ = io.WriteString(out, name+"\n")
			}
			begin = time.Now()
			writing.Go(func() {
				for i := range bad {
					say(fmt.Sprintf("%c/bad%d", 'a'+i%2, i))
					time.Sleep(100 * time.Millisecond)
				}
				for i := range 10 {
					say(fmt.Sprintf("a/good%d", i))
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(5 * time.Second)
				say("a/slow")
				time.Sleep(5 * time.Second)
				say("a/quick")
				time.Sleep(5 * time.Second)
				_ = out.Close()
			})
			defer writing.Wait()
			defer in.Close()
			w.Limits.InFlight = 4
			w.from("http://127.0.0.1/{name}",
				source.Options{Paths: []string{"-"}, Stdin: in, Method: "PUT"})
			s := w.run()
			if quick > 30*time.Second || s.Items.Delivered != 12 {
				t.Errorf("%d refused before: the quick one left after %v; %+v", bad, quick, s.Items)
			}
		})
	}
}

// A list that neither ends nor pauses does not keep a run going whose server refuses everything.
func TestRefusedOfEndlessStdin(t *testing.T) {
	for _, dirs := range []int{1, 500} {
		onFakeTime(t, 1, answering(http.StatusUnprocessableEntity), func(w *world) {
			root := w.TempDir()
			var names []string
			for i := range 500 {
				names = append(names, filepath.Join(root, fmt.Sprint(i*dirs/500), fmt.Sprint(i)))
				writeFile(t, names[i], "x")
			}
			in, out := io.Pipe()
			var writing sync.WaitGroup
			writing.Go(func() {
				for _, name := range names {
					time.Sleep(100 * time.Millisecond)
					if _, err := io.WriteString(out, name+"\n"); err != nil {
						return
					}
				}
			})
			defer writing.Wait()
			defer in.Close()
			w.from("http://127.0.0.1/{name}",
				source.Options{Paths: []string{"-"}, Stdin: in, Method: "PUT"})
			s := w.run()
			w.ended(s, exit.Refused, 0, 21, 0, 0, s.Items.Remaining)
			// Twenty take two seconds.
			if n, took := w.asks(), w.since()-order.MaxListing; n != 21 ||
				took < 2*time.Second || took > 3*time.Second {
				t.Errorf("%d directories: %d requests, over after %v", dirs, n, w.since())
			}
		})
	}
}

// What was put aside does not wait for the end of a list that has none.
func TestAsideOfSilentStdin(t *testing.T) {
	onFakeTime(t, 1, inTurn(answering(http.StatusUnprocessableEntity), atOnce), func(w *world) {
		file := w.firstFile()
		w.stdin("http://127.0.0.1/{name}", "PUT", file)
		w.ended(w.journaled(), exit.Items, 0, 1, 0, 0, 0)
		in, out := io.Pipe()
		defer out.Close()
		go io.WriteString(out, file+"\n")
		w.from("http://127.0.0.1/{name}", source.Options{Paths: []string{"-"}, Stdin: in,
			Method: "PUT"})
		w.journal(w.db)
		w.MaxDuration = time.Minute
		w.run()
		if n := w.asks(); n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// [doubt] File after file that comes into doubt ends the run before all are.
func TestFileAfterFileInDoubt(t *testing.T) {
	server := nth(func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n > 30 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return n > 30
	})
	onFakeTime(t, 500, server, func(w *world) {
		w.Workers = 1
		w.method("POST")
		summary := w.run()
		w.ended(summary, exit.Unavailable, 30, 0, 20, 0, 450)
		w.says(summary, "twenty files in a row")
	})
}
