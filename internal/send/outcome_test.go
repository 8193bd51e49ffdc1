package send

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/throttle"
)

// method has all files sent by the method.
func (w *world) method(m string) {
	paths := []string{filepath.Dir(w.firstFile())}
	w.from(w.To, source.Options{Paths: paths, Method: m})
}

func (w *world) firstFile() string {
	for it, err := range w.Source.Items() {
		if err != nil {
			w.Fatal(err)
		}
		return it.Path
	}
	w.Fatal("there is no file")
	return ""
}

// hijacked breaks the connection off, by a reset or by its end.
func hijacked(w http.ResponseWriter, answer string, end func(*memnet.Conn) error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, answer)
	_ = end(conn.(*memnet.Conn))
}

// [repeat] What one answer, or the lack of one, makes of a file. The second try is accepted.
func TestOutcomes(t *testing.T) {
	reset := func(w http.ResponseWriter, _ *http.Request) { hijacked(w, "", (*memnet.Conn).Reset) }
	status := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }
	}
	to := func(status int, url string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", url)
			w.WriteHeader(status)
		}
	}
	for _, c := range []struct {
		name     string
		method   string
		first    http.HandlerFunc
		want     item.Fate
		requests int
		says     string
	}{
		{"PUT and 500", "PUT", status(500), item.Delivered, 2, ""},
		{"PUT and 504", "PUT", status(504), item.Delivered, 2, ""},
		{"PUT and reset", "PUT", reset, item.Delivered, 2, ""},
		{"POST and 500", "POST", status(500), item.Unknown, 1, "it may have been accepted, and repeating it is not safe"},
		{"POST and 504", "POST", status(504), item.Unknown, 1, "504 Gateway Timeout"},
		{"POST and reset", "POST", reset, item.Unknown, 1, "the server closed the connection without an answer"},
		{"POST and 503", "POST", status(503), item.Delivered, 2, ""},
		{"POST and 429", "POST", status(429), item.Delivered, 2, ""},
		{"POST and 408", "POST", status(408), item.Delivered, 2, ""},
		{"an answer cut off", "POST", func(w http.ResponseWriter, _ *http.Request) {
			hijacked(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsto", (*memnet.Conn).Close)
		}, item.Delivered, 1, ""},
		{"400", "PUT", status(400), item.Failed, 1, "400 Bad Request"},
		{"404", "PUT", status(404), item.Failed, 1, "404 Not Found"},
		{"501", "PUT", status(501), item.Failed, 1, "501 Not Implemented"},
		{"302", "PUT", to(302, "/new?key=value"), item.Failed, 1, "302 Found: redirected to http://127.0.0.1/new: "},
		{"303", "POST", to(303, "/new"), item.Failed, 1, "redirected to http://127.0.0.1/new: "},
		{"307", "POST", to(307, "/new"), item.Delivered, 2, ""},
		{"308", "PUT", to(308, "/new"), item.Delivered, 2, ""},
		{"307 to elsewhere", "PUT", to(307, "http://127.0.0.2/new"), item.Failed, 1, "redirected to http://127.0.0.2/new, another origin, which is not followed: send there; penstock send does not support following a redirect to another server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n atomic.Int64
			onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if n.Add(1) == 1 {
					c.first(w, r)
					return
				}
				if string(body) != "x" || r.Method != c.method {
					t.Errorf("%s with the body %q", r.Method, body)
				}
				w.WriteHeader(http.StatusCreated)
			}, func(w *world) {
				w.method(c.method)
				s := w.run()
				var got item.Fate
				switch (report.ItemCounts{Total: 1}) {
				case report.ItemCounts{Total: s.Items.Delivered}:
					got = item.Delivered
				case report.ItemCounts{Total: s.Items.Failed}:
					got = item.Failed
				case report.ItemCounts{Total: s.Items.Unknown}:
					got = item.Unknown
				}
				if got != c.want || int(n.Load()) != c.requests {
					t.Errorf("%s after %d requests, want %s after %d\n%s", got, n.Load(), c.want, c.requests, errorsOf(s))
				}
				if text := errorsOf(s); !strings.Contains(text, c.says) || c.says == "" && text != "" {
					t.Errorf("it says %q, want %q", text, c.says)
				}
				if want := map[item.Fate]int{item.Delivered: exit.Delivered}[c.want]; c.want == item.Delivered && s.ExitStatus != want ||
					c.want != item.Delivered && s.ExitStatus != exit.Items {
					t.Errorf("exit status %d", s.ExitStatus)
				}
			})
		})
	}
}

// What is written of a file speaks of all its attempts.
func TestResultsOfSeveralAttempts(t *testing.T) {
	var n atomic.Int64
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) <= 2 {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		accept(w, r, time.Second)
	}, func(w *world) {
		var lines bytes.Buffer
		w.Results = report.NewResults(&lines)
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
		var got report.Item
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := report.Item{Path: w.firstFile(), Rel: "00000", URL: "http://127.0.0.1/00000", Method: "PUT", Status: item.Delivered,
			HTTPStatus: 201, Attempts: 3, Bytes: 1, Seconds: w.since().Seconds()}
		if got != want || got.Seconds < 61 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// The time for an attempt begins when it is sent.
func TestTimeout(t *testing.T) {
	onFakeTime(t, 20, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "19") {
			accept(w, r, 10*time.Second)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		w.method(http.MethodPost)
		w.Limits.Rate = 1
		w.Timeout = 5 * time.Second
		s := w.run()
		w.ended(s, exit.Items, 19, 0, 1, 0, 0)
		if want := 24 * time.Second; w.since() != want || s.Requests.TimedOut != 1 || s.Latency.Max != 5 {
			t.Errorf("over after %v, want %v; %+v, %+v", w.since(), want, s.Requests, s.Latency)
		}
		if text := errorsOf(s); !strings.Contains(text, "the attempt took longer than --timeout 5 s") {
			t.Errorf("it says %s", text)
		}
	})
}

// A request that net/http sends once more by itself, because its connection was
// dead, pays and counts.
func TestHiddenResendsCount(t *testing.T) {
	var seen instants
	onFakeTime(t, 3, func(w http.ResponseWriter, r *http.Request) {
		seen.add()
		if len(seen.at) == 2 {
			hijacked(w, "", (*memnet.Conn).Close)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		var lines strings.Builder
		for it := range w.Source.Items() {
			fmt.Fprintf(&lines, "{\"path\":%q,\"key\":%q}\n", it.Path, it.Rel)
		}
		w.manifest(lines.String())
		w.Limits = throttle.Limits{Rate: 1, InFlight: 1}
		s := w.run()
		w.ended(s, exit.Delivered, 3, 0, 0, 0, 0)
		if s.Requests.Sent != 4 || s.Requests.Accepted != 3 {
			t.Errorf("%+v", s.Requests)
		}
		for i, at := range seen.at {
			if want := w.begin.Add(time.Duration(i) * time.Second); !at.Equal(want) {
				t.Errorf("request %d came after %v", i, at.Sub(w.begin))
			}
		}
	})
}

// An answer that drips is no reason to wait.
func TestEndlessAnswer(t *testing.T) {
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(time.Second / 2):
			case <-r.Context().Done():
			}
		}
	}, func(w *world) {
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
		if w.since() != maxAnswerTime {
			t.Errorf("over after %v", w.since())
		}
	})
}

func TestTenRefusals(t *testing.T) {
	var n atomic.Int64
	onFakeTime(t, 25, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		w.WriteHeader(http.StatusUnauthorized)
	}, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		s := w.run()
		w.ended(s, exit.Refused, 0, 10, 0, 0, 15)
		if n.Load() != 10 || w.since() != 900*time.Millisecond {
			t.Errorf("%d requests in %v", n.Load(), w.since())
		}
		if want := "the last 10 answers were 401 Unauthorized and nothing was accepted: check the credentials; give a new token if the old one has expired, then run the same command again"; len(s.Notes) != 1 || s.Notes[0] != want {
			t.Errorf("notes %q", s.Notes)
		}
	})
}

// Where another answer came in between, it is no matter of credentials.
func TestNotTenRefusals(t *testing.T) {
	var n atomic.Int64
	onFakeTime(t, 25, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusNotFound)
		} else {
			w.WriteHeader(http.StatusForbidden)
		}
	}, func(w *world) {
		w.Limits.InFlight = 1
		w.ended(w.run(), exit.Items, 0, 25, 0, 0, 0)
	})
}

func TestHostUnknown(t *testing.T) {
	onFakeTime(t, 100, nil, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.Network.dial = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}}
		}
		s := w.run()
		w.ended(s, exit.Usage, 0, 1, 0, 0, 99)
		if w.since() != 0 {
			t.Errorf("ended after %v", w.since())
		}
		if want := ": no such host: h: check the name"; len(s.Errors) != 1 || !strings.HasSuffix(s.Errors[0].Error, want) {
			t.Errorf("errors %+v", s.Errors)
		}
		if want := "the server cannot be reached as configured"; len(s.Notes) != 1 || s.Notes[0] != want {
			t.Errorf("notes %q", s.Notes)
		}
	})
}

// Once something was answered, the same is an outage.
func TestHostUnknownForAWhile(t *testing.T) {
	onFakeTime(t, 20, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.Header = http.Header{"Connection": {"close"}}
		w.Network.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if now := w.since(); now >= time.Second && now < 10*time.Second {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}}
			}
			return w.net.DialContext(ctx, network, addr)
		}
		s := w.run()
		w.ended(s, exit.Delivered, 20, 0, 0, 0, 0)
		if at := w.watch.snapshots[int(5*time.Second/tick)]; !strings.HasPrefix(at.Holding, "server down (host not found): ") {
			t.Errorf("held back by %q", at.Holding)
		}
		if n := s.Requests.Overloaded; n > 10 {
			t.Errorf("%d tries while the name was unknown", n)
		}
	})
}

// A file that cannot be sent is a failed item; those after it are sent.
func TestItemErrors(t *testing.T) {
	onFakeTime(t, 3, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }, func(w *world) {
		list := w.firstFile() + "\nnosuch\n" + filepath.Dir(w.firstFile()) + "\n" + strings.TrimSuffix(w.firstFile(), "0") + "1\n"
		w.from(w.To, source.Options{Paths: []string{"-"}, Stdin: strings.NewReader(list)})
		s := w.run()
		w.ended(s, exit.Items, 2, 2, 0, 0, 0)
		if text := errorsOf(s); !strings.Contains(text, "failed: no such file or directory\n") || !strings.Contains(text, "failed: is a directory; ") {
			t.Errorf("it says %q", text)
		}
	})
}

// What the disk loses between two attempts is not a short upload.
func TestFileVanishesBetweenAttempts(t *testing.T) {
	var file string
	var n atomic.Int64
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		_ = os.Remove(file)
		w.WriteHeader(http.StatusServiceUnavailable)
	}, func(w *world) {
		file = w.firstFile()
		s := w.run()
		w.ended(s, exit.Items, 0, 1, 0, 0, 0)
		if n.Load() != 1 {
			t.Errorf("%d requests: %s", n.Load(), errorsOf(s))
		}
	})
}

// A standard input that says nothing for hours does not hold up the end.
func TestSilentStdin(t *testing.T) {
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }, func(w *world) {
		in, out := io.Pipe()
		defer out.Close()
		file := w.firstFile()
		go io.WriteString(out, file+"\n")
		w.from(w.To, source.Options{Paths: []string{"-"}, Stdin: in})
		w.MaxDuration = 10 * time.Minute
		s := w.run()
		w.ended(s, exit.Limit, 1, 0, 0, 0, 0)
		if w.since() != w.MaxDuration {
			t.Errorf("ended after %v", w.since())
		}
	})
}

// A full disk ends the run, whatever else went well.
func TestResultsFail(t *testing.T) {
	onFakeTime(t, 30, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.Results = report.NewResults(fullDisk{})
		s := w.run()
		if s.ExitStatus != exit.Local || s.Items.Remaining == 0 || len(s.Notes) != 1 || s.Notes[0] != "--results: the results are incomplete: disk full" {
			t.Errorf("exit status %d, %+v, %q", s.ExitStatus, s.Items, s.Notes)
		}
	})
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// Nothing that is secret is in what is said of an item, whatever the server
// sends back and wherever that is cut.
func TestSecretsAreHidden(t *testing.T) {
	var mu sync.Mutex
	answer := ""
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, answer)
	}, func(w *world) {
		w.from("http://me:sesame-1@127.0.0.1/{name}?key=sesame-2%2f", source.Options{Paths: []string{w.firstFile()}})
		w.Header = http.Header{"Authorization": {"Bearer sesame-3"}, "Cookie": {`id="sesame-4"; x=1`}, "X-Api-Key": {`ses "a" me`, "sesame-6", "sesame-6-seseme"}}
		secrets := []string{
			"sesame-1", "me:sesame-1", "bWU6c2VzYW1lLTE=", "sesame-2/", "sesame-2%2f", "sesame-2%2F",
			"Bearer sesame-3", "sesame-3", "sesame-4", `ses "a" me`, `ses \"a\" me`, "ses+%22a%22+me", "sesame-6-seseme",
		}
		for _, secret := range secrets {
			for _, pad := range []int{0, maxExcerpt - len(secret) - 1, maxExcerpt - len(secret)/2, maxExcerpt - 1} {
				answer = strings.Repeat(".", pad) + secret + " is wrong"
				text := errorsOf(w.run())
				if strings.Contains(text, "ses") || strings.Contains(text, "c2Vz") || !strings.Contains(text, "400 Bad Request") {
					t.Errorf("of %q is shown %q", secret, text)
				}
			}
		}
	})
}

// Files that go between being found and being sent are not passed over.
func TestFilesAreGone(t *testing.T) {
	const found, gone = 50, 20
	var dir string
	onFakeTime(t, found, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }, func(w *world) {
		dir = filepath.Dir(w.firstFile())
		for i := range gone {
			if err := os.Remove(filepath.Join(dir, fmt.Sprintf("%05d", found-1-i))); err != nil {
				t.Fatal(err)
			}
		}
		s := w.run()
		w.ended(s, exit.Items, found-gone, gone, 0, 0, 0)
		if text := errorsOf(s); !strings.Contains(text, "no such file") {
			t.Errorf("it says %q", text)
		}
	})
}

// A wait that a server asks for with any answer does not count as an outage.
func TestAskedWaitIsNoOutage(t *testing.T) {
	var n atomic.Int64
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		w.GiveUpAfter = time.Minute
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
	})
}

// Once something was accepted, a URL that cannot be reached is one item's fault.
func TestUnreachableURLAmongOthers(t *testing.T) {
	onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }, func(w *world) {
		name := w.firstFile()
		second := strings.TrimSuffix(name, "0") + "1"
		w.Limits.InFlight = 1
		w.manifest(fmt.Sprintf("{\"path\":%q}\n{\"path\":%q,\"url\":\"https://127.0.0.1/x\"}\n{\"path\":%q,\"url\":\"http://127.0.0.1/y\"}\n", name, second, second))
		w.ended(w.run(), exit.Items, 2, 1, 0, 0, 0)
	})
}

// A POST that still waits for its turn when all is broken off was not sent.
func TestBrokenOffWhileWaiting(t *testing.T) {
	onFakeTime(t, 6, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }, func(w *world) {
		dir := filepath.Dir(w.firstFile())
		w.from("http://127.0.0.1/", source.Options{Paths: []string{dir}})
		w.Limits.Rate = 1
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(2500*time.Millisecond, func() { cancel(&exit.Signal{Signal: os.Interrupt}) })
		w.ended(w.runUntil(ctx, ctx), exit.Interrupted, 3, 0, 0, 0, 3)
	})
}

// A file that the server refuses while it takes all others is failed, also when it
// is the last one left and nothing else can be accepted any more.
func TestOneFileIsRefusedForEver(t *testing.T) {
	onFakeTime(t, 120, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/00003") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		accept(w, r, 500*time.Millisecond)
	}, func(w *world) {
		s := w.run()
		w.ended(s, exit.Items, 119, 1, 0, 0, 0)
		if text := errorsOf(s); !strings.Contains(text, "503 Service Unavailable") {
			t.Errorf("it says %s", text)
		}
		if w.since() > 5*time.Minute {
			t.Errorf("it took %v", w.since())
		}
	})
}

// What ends because the run does says what the server said last, not that nothing
// was sent.
func TestRefusedUntilTheEnd(t *testing.T) {
	onFakeTime(t, 3, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}, func(w *world) {
		w.GiveUpAfter = time.Minute
		text := errorsOf(w.run())
		if !strings.Contains(text, "503 Service Unavailable") || strings.Contains(text, "nothing was sent") {
			t.Errorf("it says %s", text)
		}
	})
}
