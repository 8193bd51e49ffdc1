package send

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
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

//go:embed outcomes.md
var outcomesText string

// An outcome is a row of outcomes.md.
type outcome struct {
	event          string
	put, post, key string
	alike          string // exit status
}

func (o *outcome) of(s sending) string {
	return [...]string{byPut: o.put, byKey: o.key, byTrust: o.post}[s]
}

var eventOfStatuses = regexp.MustCompile(`^(\d{3}(?:, \d{3})*)(.*)$`)

// outcomeTable reads outcomes.md. An event of several statuses becomes a row for each.
func outcomeTable() (rows []outcome) {
	for line := range strings.Lines(outcomesText) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "-") || cells[1] == " event " {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		row := outcome{cells[1], cells[2], cells[3], cells[4], cells[5]}
		m := eventOfStatuses.FindStringSubmatch(row.event)
		if m == nil {
			rows = append(rows, row)
			continue
		}
		for status := range strings.SplitSeq(m[1], ", ") {
			row.event = status + m[2]
			rows = append(rows, row)
		}
	}
	return rows
}

// An event is how a row of outcomes.md comes about.
type event struct {
	status int              // of the answer, if it is one of HTTP
	answer http.HandlerFunc // if nil, the server accepts
	dial   error
	later  bool   // once a file was accepted
	early  bool   // the answer comes before a large file was sent
	stops  bool   // the run, a second after its beginning
	dies   bool   // the program, while the server accepts the file
	says   string // what is said of a file that is not delivered
}

func eventOf(t *testing.T, name string) (e event) {
	status, rest, _ := strings.Cut(name, " ")
	code, err := strconv.Atoi(status)
	if err != nil {
		rest = name
	}
	raw := func(answer string, end func(*memnet.Conn) error) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { hijacked(w, answer, end) }
	}
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	unknown := &net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}
	says := status + " " + http.StatusText(code)
	defer func() { e.status = code }()
	switch rest {
	case "", "for a key in use":
		return event{answer: answering(code), says: says}
	case "with Retry-After":
		return event{answer: answering(code, "Retry-After", "2"), says: says}
	case "to another URL":
		return event{answer: answering(code, "Location", "/new?key=value"),
			says: says + ": redirected to http://127.0.0.1/new: "}
	case "to another origin":
		return event{answer: answering(code, "Location", "http://127.0.0.2/new"),
			says: "redirected to http://127.0.0.2/new, another origin, which is not followed: " +
				"send there; penstock send does not support following a redirect to another server"}
	case "while nothing is accepted any more":
		return event{answer: answering(code), later: true, says: says}
	case "whose text is cut off":
		head := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
		return event{answer: raw(head+"sto", (*memnet.Conn).Close)}
	case "before the file was sent whole":
		return event{early: true, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(code)
			_ = http.NewResponseController(w).Flush()
		}}
	case "connection refused":
		return event{dial: syscall.ECONNREFUSED}
	case "connection reset":
		return event{answer: raw("", (*memnet.Conn).Reset),
			says: "the server closed the connection without an answer"}
	case "no answer in time":
		return event{answer: silent, says: "the attempt took longer than --timeout 5 s"}
	case "an answer that is not HTTP, and nothing ever accepted":
		return event{answer: raw("OK stored\r\n", (*memnet.Conn).Close),
			says: "answers in something other than HTTP: check the port"}
	case "host unknown, and nothing ever accepted":
		return event{dial: unknown, says: ": no such host: h: check the name"}
	case "host unknown, after something was accepted":
		return event{dial: unknown, later: true}
	case "interrupted in flight":
		return event{answer: silent, stops: true, says: "interrupted"}
	case "the program dies in flight":
		return event{dies: true, says: "it may have arrived in an earlier run"}
	}
	t.Fatalf("no event %q", name)
	return event{}
}

// A meeting is a run some of whose requests meet an event.
type meeting struct {
	event
	way      sending
	method   string
	files    int
	attempts int
	times    int // how many requests meet the event

	handled, failed int // requests that came, and dials that failed
}

func (m *meeting) run(t *testing.T) (s report.Summary) {
	first := 0 // request that meets the event, less one
	if m.later {
		first = 1
	}
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, m.files, func(rw http.ResponseWriter, r *http.Request) {
		m.handled++
		if n := m.handled - first; m.answer != nil && n > 0 && n <= m.times {
			if !m.early {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			m.answer(rw, r)
			return
		}
		if body, _ := io.ReadAll(r.Body); len(body) == 0 || r.Method != m.method {
			t.Errorf("%s with the body %q", r.Method, body)
		}
		if m.dies && m.handled == 1 {
			copyJournal(t, name, name+".died")
		}
		rw.WriteHeader(http.StatusCreated)
	}, func(w *world) {
		if m.early {
			if err := os.Truncate(w.firstFile(), 8<<20); err != nil {
				t.Fatal(err)
			}
		}
		w.method(m.method)
		if m.way == byKey {
			w.Idempotency = keys
		}
		w.Limits.InFlight, w.Attempts, w.Timeout = 1, m.attempts, 5*time.Second
		w.Header = http.Header{"Connection": {"close"}}
		w.Network.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if m.dial != nil && m.handled >= first && m.failed < m.times {
				m.failed++
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: m.dial}
			}
			return w.net.DialContext(ctx, network, addr)
		}
		ctx, stop := context.WithCancelCause(w.Context())
		defer stop(nil)
		if m.stops {
			time.AfterFunc(time.Second, func() { stop(&exit.Signal{Signal: os.Interrupt}) })
		}
		if m.dies {
			w.journal(name)
		}
		s = w.runUntil(ctx, ctx)
		if m.dies {
			w.journal(name + ".died")
			s = w.run()
		}
	})
	return s
}

// [repeat] [delivered] Each cell of outcomes.md is true.
func TestOutcomes(t *testing.T) {
	alike := map[string]bool{}
	for i, row := range outcomeTable() {
		for way, methods := range map[sending][]string{
			byPut: {"PUT", "DELETE"}, byKey: {"POST", "PATCH"}, byTrust: {"POST", "PATCH", "APPEND"},
		} {
			method := methods[i%len(methods)]
			t.Run(fmt.Sprintf("%s/%v by %s", row.event, way, method), func(t *testing.T) {
				race.Few(t, i)
				checkOutcome(t, meeting{event: eventOf(t, row.event), way: way, method: method}, row.of(way))
			})
		}
		_, event, _ := strings.Cut(row.event, " ")
		if event += row.alike; row.alike == "" || alike[event] {
			continue
		}
		alike[event] = true
		t.Run(row.event+"/all alike", func(t *testing.T) {
			m := meeting{event: eventOf(t, row.event), method: "PUT", files: 40, attempts: 8, times: math.MaxInt}
			if s := m.run(t); strconv.Itoa(s.ExitStatus) != row.alike {
				t.Errorf("exit status %d, want %s\n%s", s.ExitStatus, row.alike, errorsOf(s))
			}
		})
	}
}

func checkOutcome(t *testing.T, m meeting, cell string) {
	m.files, m.times, m.attempts = 1, 1, 1
	if m.later {
		m.files, m.times, m.attempts = 2, 6, 3
	}
	switch cell {
	case "again":
		m.check(t, "delivered", m.files+m.times)
	case "again, an attempt":
		last := m
		last.check(t, "failed", 1)
		m.attempts = 2
		m.check(t, "delivered", 2)
	default:
		m.check(t, cell, m.files)
	}
}

// check does the run, and checks what becomes of the last file and how many requests there are.
func (m *meeting) check(t *testing.T, want string, requests int) {
	t.Helper()
	s := m.run(t)
	got := map[string]int64{"delivered": s.Items.Delivered - int64(m.files-1), "failed": s.Items.Failed,
		"unknown": s.Items.Unknown, "deferred": s.Items.Deferred}
	text := errorsOf(s)
	if want == "failed" && strings.Contains(text, "another request with this idempotency key may have been accepted") {
		want = "unknown" // since it may be this file that has the key
	}
	if got[want] != 1 || m.handled+m.failed != requests {
		t.Errorf("%+v after %d requests, want it %s after %d\n%s", s.Items, m.handled+m.failed, want, requests, text)
	}
	if q := s.Requests; q.Accepted != s.Items.Delivered || q.Accepted == 0 && m.status >= 500 && q.Waste != 1 {
		t.Errorf("%+v of %+v", s.Items, q)
	}
	switch {
	case want == "delivered":
		if text != "" || s.ExitStatus != exit.Delivered {
			t.Errorf("exit status %d, and it says %q", s.ExitStatus, text)
		}
	case s.ExitStatus == exit.Delivered || !strings.Contains(text, m.says):
		t.Errorf("exit status %d, and it does not say %q: %s", s.ExitStatus, m.says, text)
	case want == "unknown" && !m.stops && !strings.Contains(text, "may have "):
		t.Errorf("it does not say that it may have arrived: %s", text)
	}
}

// What is written of a file speaks of all its attempts.
func TestResultsOfSeveralAttempts(t *testing.T) {
	again := answering(http.StatusServiceUnavailable, "Retry-After", "30")
	onFakeTime(t, 1, inTurn(again, again, taking(time.Second)), func(w *world) {
		lines := w.results()
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
		got := lines()
		want := results.Result{Path: w.firstFile(), Rel: "00000", URL: "http://127.0.0.1/00000", Method: "PUT",
			Status: item.Delivered, HTTPStatus: 201, Attempts: 3, Bytes: 1, Seconds: w.since().Seconds()}
		if len(got) != 1 || got[0] != want || want.Seconds < 61 {
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

// A request that net/http sends once more by itself, because its connection was dead, pays and counts.
func TestHiddenResendsCount(t *testing.T) {
	lost := func(w http.ResponseWriter, _ *http.Request) { hijacked(w, "", (*memnet.Conn).Close) }
	onFakeTime(t, 3, inTurn(atOnce, lost, atOnce), func(w *world) {
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
		for i, c := range w.calls {
			if want := time.Duration(i) * time.Second; c.at != want {
				t.Errorf("request %d came after %v", i, c.at)
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
		if w.since() != reply.MaxTime {
			t.Errorf("over after %v", w.since())
		}
	})
}

// A file that cannot be sent is a failed item; those after it are sent.
func TestItemErrors(t *testing.T) {
	onFakeTime(t, 3, atOnce, func(w *world) {
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

// Files that go between being found and being sent are not passed over.
func TestFilesAreGone(t *testing.T) {
	const found, gone = 50, 20
	var dir string
	onFakeTime(t, found, atOnce, func(w *world) {
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

// A file of which nobody knows whether it arrived has a note that says so, whatever is to be done with
// it.
func TestWhatMayHaveArrived(t *testing.T) {
	const may = "an attempt may have been accepted"
	for _, c := range []struct {
		status int
		wait   []string
		want   item.Fate
		note   string
	}{
		{500, nil, item.Failed, may},
		{404, nil, item.Failed, ""},
		{502, []string{"Retry-After", "7200"}, item.Deferred, may},
		{503, []string{"Retry-After", "7200"}, item.Deferred, ""},
	} {
		onFakeTime(t, 1, answering(c.status, c.wait...), func(w *world) {
			lines := w.results()
			w.Attempts, w.MaxWait = 1, time.Hour
			w.run()
			if got := lines(); len(got) != 1 || got[0].Status != c.want || got[0].Note != c.note {
				t.Errorf("%d: %+v; want %s, note %q", c.status, got, c.want, c.note)
			}
		})
	}
}

// attempts adds up those of results.
func attempts(lines []results.Result) (n int) {
	for _, it := range lines {
		n += it.Attempts
	}
	return n
}

// What the results and the report say of requests is what the server has seen of them, also where a run
// ends while many files wait for their next attempt.
func TestAttemptsAreThoseTheServerSaw(t *testing.T) {
	late := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(100 * time.Millisecond)
			h(w, r)
		}
	}
	alternate := func(bad http.HandlerFunc, good int) http.HandlerFunc {
		return late(inTurn(slices.Repeat(append(slices.Repeat([]http.HandlerFunc{atOnce}, good), bad), 60)...))
	}
	for name, handler := range map[string]http.HandlerFunc{
		"refused until the end": alternate(answering(http.StatusTooManyRequests), 2),
		"failing until the end": late(inTurn(append(slices.Repeat([]http.HandlerFunc{atOnce}, 10), answering(500))...)),
		"redirected":            alternate(answering(http.StatusTemporaryRedirect, "Location", "/elsewhere"), 1),
	} {
		for _, withJournal := range []bool{false, true} {
			onFakeTime(t, 60, handler, func(w *world) {
				lines := w.results()
				w.Limits.InFlight = 4
				if withJournal {
					w.journal(filepath.Join(w.TempDir(), "j.db"))
				}
				s := w.stopped(900*time.Millisecond, 0)
				if n, seen := attempts(lines()), w.got(0, always); n != seen || int(s.Requests.Sent) != n {
					t.Errorf("%s: %d attempts in the results, %d seen by the server; %+v, %+v", name, n, seen, s.Requests, s.Items)
				}
			})
		}
	}
}

// large has one file of that size sent.
func (w *world) large(size int64) {
	w.Helper()
	dir := w.TempDir()
	name := filepath.Join(dir, "large")
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, size)); err != nil {
		w.Fatal(err)
	}
	w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{dir}})
}

// A server that goes away sends back what it has not processed. Each request has one place in the report, whatever
// net/http makes of that: those of the server's own record under their status, the others as resent.
func TestGoAwayIsCountedOnce(t *testing.T) {
	const files, perConn = 60, 7
	var config *tls.Config
	var processed atomic.Int64
	onRawServer(t, 40, func(c net.Conn) {
		conn := &h2{Conn: tls.Server(c, config)}
		conn.serve("", true, func(stream uint32) {
			const last = 2*perConn - 1
			switch {
			case stream > last:
				return
			case stream == last: // what comes after it is not processed
				_ = conn.frame(frameGoAway, 0, 0, string(binary.BigEndian.AppendUint32(nil, stream))+"\x00\x00\x00\x00")
			}
			processed.Add(1)
			time.Sleep(50 * time.Millisecond)
			_ = conn.frame(frameHeaders, flagEnd|flagEndHeaders, stream, status200)
		})
	}, func(w *world) {
		config = w.https("h2")
		dir := t.TempDir()
		for i := range files {
			writeFile(t, filepath.Join(dir, strconv.Itoa(i)), "x")
		}
		w.from("https://h.example/{path}", source.Options{Paths: []string{dir}})
		w.Limits.InFlight = 16
		lines := w.results()
		s := w.run()
		w.ended(s, exit.Delivered, files, 0, 0, 0, 0)
		if n := processed.Load(); s.Requests.ByStatus["200"] != n || s.Requests.Accepted != n {
			t.Errorf("%d in the server's record: %+v", n, s.Requests)
		}
		if n := attempts(lines()); int64(n) != s.Requests.Sent {
			t.Errorf("%d attempts in the results, %d sent", n, s.Requests.Sent)
		}
	})
}

// A server that resets a stream (PROTOCOL_ERROR) may have stored the file, although net/http would send
// the request again. A POST is sent once. To send a PUT again is an attempt, of which there are as many
// as --attempts says, and a 412 then says nothing about whose file is there.
func TestStreamThatIsResetInDoubt(t *testing.T) {
	for _, c := range []struct {
		method   string
		form     string
		resets   int64
		then     string // status
		unknown  int64
		requests int64
	}{
		{"POST", "", 1, status200, 1, 1},
		{"POST", "file", 1, status200, 1, 1},
		{"PUT", "", 1, "\x08\x03412", 1, 2},
		{"PUT", "", 100, "\x08\x03412", 0, 3},
	} {
		for _, size := range []int{0, 1, 60 << 10} {
			var config *tls.Config
			var requests atomic.Int64
			onRawServer(t, 1, func(conn net.Conn) {
				h := &h2{Conn: tls.Server(conn, config)}
				h.serve("", true, func(stream uint32) {
					if requests.Add(1) <= c.resets {
						_ = h.frame(frameReset, 0, stream, "\x00\x00\x00\x01")
					} else {
						_ = h.frame(frameHeaders, flagEndHeaders|flagEnd, stream, c.then)
					}
				})
			}, func(w *world) {
				config = w.https("h2")
				name := filepath.Join(t.TempDir(), "file")
				writeFile(t, name, strings.Repeat("x", size))
				w.Form, w.Attempts = c.form, 3
				w.NoOverwrite = c.method == "PUT" && c.unknown > 0
				w.from("https://h.example/{path}", source.Options{Paths: []string{name}, Method: c.method})
				w.ended(w.run(), exit.Items, 0, 1-c.unknown, c.unknown, 0, 0)
				if n := requests.Load(); n != c.requests {
					t.Errorf("%s, %d bytes, form %q: %d requests, want %d", c.method, size, c.form, n, c.requests)
				}
			})
		}
	}
}

// A server that says that it has a file already may have it from an attempt whose answer was another.
func TestExistsAfterDoubt(t *testing.T) {
	stored := answer{stores: true, status: http.StatusBadGateway}
	for _, c := range []struct {
		name        string
		method      string
		keyed       bool
		noOverwrite bool
		answers     []answer
		exists      int  // what the server says from then on
		older       bool // it has another content from an earlier run
		want        item.Fate
		asked       item.Fate // the same under --verify
		requests    int
	}{
		{"PUT", "PUT", false, false, []answer{stored}, 409, false, item.Unknown, item.Delivered, 2},
		{"PUT, by a condition of the user", "PUT", false, false, []answer{stored}, 412, false, item.Unknown, item.Delivered, 2},
		{"PUT --no-overwrite", "PUT", false, true, []answer{stored}, 409, false, item.Unknown, item.Delivered, 2},
		{"PUT --no-overwrite, 412", "PUT", false, true, []answer{stored}, 412, false, item.Unknown, item.Delivered, 2},
		{"PUT --no-overwrite, older", "PUT", false, true, []answer{{status: 502}}, 412, true, item.Unknown, item.Unknown, 2},
		{"PUT, gateway asks to wait", "PUT", false, false, []answer{{stores: true, status: 504, wait: 1}}, 409, false, item.Unknown, item.Delivered, 2},
		{"POST with a key", "POST", true, false, []answer{stored}, 409, false, item.Unknown, item.Delivered, 1 + mostConflicts},
		{"POST with a key, 412", "POST", true, true, []answer{stored}, 412, false, item.Unknown, item.Delivered, 2},
		// Nothing is in doubt: it is a refusal like others.
		{"PUT, refused", "PUT", false, false, nil, 409, false, item.Failed, item.Failed, 1},
		{"PUT, refused with 412", "PUT", false, true, nil, 412, false, item.Failed, item.Failed, 1},
		{"PUT, refused after 503", "PUT", false, false, []answer{{status: 503}}, 409, false, item.Failed, item.Failed, 2},
		{"POST", "POST", false, false, nil, 409, false, item.Failed, item.Failed, 1},
		{"PUT with a key", "PUT", true, false, nil, 409, false, item.Failed, item.Failed, mostConflicts},
		{"PUT with a key, in doubt", "PUT", true, false, []answer{stored}, 409, false, item.Unknown, item.Delivered, 1 + mostConflicts},
		// Another request may have that key.
		{"POST with a key, never sent", "POST", true, false, nil, 409, false, item.Unknown, item.Unknown, mostConflicts},
		{"POST with a key, refused", "POST", true, false, []answer{{status: 503}}, 409, false, item.Unknown, item.Unknown, 1 + mostConflicts},
	} {
		for _, verify := range []bool{false, true} {
			name, want := c.name, c.want
			if verify {
				name, want = name+", verify", c.asked
			}
			t.Run(name, func(t *testing.T) {
				onScene(t, func(s *scene) {
					if c.keyed {
						s.Idempotency = keys
					}
					if s.write("a"); c.older {
						s.send(c.method)
						s.write("b")
					}
					s.Attempts, s.NoOverwrite, s.Verify = 8, c.noOverwrite, verify
					answers := c.answers
					for range 8 {
						answers = append(answers, answer{status: c.exists})
					}
					s.keeper.requests = 0
					begun := time.Now()
					sum := s.send(c.method, answers...)
					got := map[item.Fate]int64{item.Delivered: sum.Items.Delivered, item.Unknown: sum.Items.Unknown, item.Failed: sum.Items.Failed}
					if got[want] != 1 || s.keeper.requests != c.requests {
						s.Errorf("%+v, want it %s, after %d requests in %v, want %d\n%s", sum.Items, want, s.keeper.requests, time.Since(begun), c.requests, errorsOf(sum))
					}
					var says string
					switch {
					case want != item.Unknown:
					case len(c.answers) > 0 && c.answers[0].status != http.StatusServiceUnavailable:
						says = "what the server has may be from an attempt before"
					default:
						says = "another request with this idempotency key may have been accepted"
					}
					for _, words := range []string{"may be from an attempt before", "another request with this"} {
						if said := strings.Contains(errorsOf(sum), words); said != strings.Contains(says, words) {
							s.Errorf("it says %q: %v\n%s", words, said, errorsOf(sum))
						}
					}
				})
			})
		}
	}
}

// [no overwrite] A file that is there under --no-overwrite may be another program's: an attempt
// that may have been accepted does not make it ours.
func TestExistsByAnotherProgram(t *testing.T) {
	for _, content := range []string{"z", "zz"} {
		for _, verify := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, verify %v", content, verify), func(t *testing.T) {
				onScene(t, func(s *scene) {
					s.write("a")
					s.keeper.content = content
					s.Attempts, s.NoOverwrite, s.Verify = 8, true, verify
					s.items(s.send("PUT", answer{status: http.StatusBadGateway}), report.ItemCounts{Total: 1, Unknown: 1})
					if s.keeper.requests != 2 {
						s.Errorf("%d requests, want 2", s.keeper.requests)
					}
				})
			})
		}
	}
}

// A server that has all the files already works: under --no-overwrite its 412 is no reason to give it up, however
// long the run takes.
func TestExistsForHours(t *testing.T) {
	for i, c := range []struct {
		name            string
		every           time.Duration
		broken          func(path string, n int) bool // whether the nth request for a file is answered 502
		failed, unknown int64
	}{
		{"all exist", time.Hour / 12, func(string, int) bool { return false }, 30, 0},
		{"one failure", time.Hour / 12, func(path string, n int) bool { return path == "/00000" && n == 1 }, 29, 1},
		{"each fails once", time.Second, func(_ string, n int) bool { return n == 1 }, 0, 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, 2-i) // the last one is the shortest
			var mu sync.Mutex
			requests := map[string]int{}
			onFakeTime(t, 30, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				requests[r.URL.Path]++
				n := requests[r.URL.Path]
				mu.Unlock()
				w.WriteHeader(map[bool]int{true: http.StatusBadGateway, false: http.StatusPreconditionFailed}[c.broken(r.URL.Path, n)])
			}, func(w *world) {
				w.NoOverwrite = true
				w.Attempts = 8
				w.Limits.Rate, w.Limits.InFlight = rate.Every(c.every), 1
				s := w.run()
				w.ended(s, exit.Items, 0, c.failed, c.unknown, 0, 0)
			})
		})
	}
}
