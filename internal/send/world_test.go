package send

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/memdir"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/template"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(memdir.For(m)) }

// A world is a server, files to send to it, and what is seen of a run.
type world struct {
	*testing.T
	Options
	net   *memnet.Listener
	begin time.Time
	db    string // path of its journal, if it has one
	watch watcher
	conns atomic.Int64 // that the server has open

	mu    sync.Mutex
	calls []*call // protected by mu
}

// A call is a request that the server got.
type call struct {
	method   string
	host     string
	path     string
	key      string        // Idempotency-Key
	at       time.Duration // since the world began
	accepted time.Duration // when it was answered 2xx; if zero, it was not
}

// got counts the requests that came in a span of time since the world began.
func (w *world) got(from, to time.Duration) int {
	return w.count(func(c *call) bool { return from <= c.at && c.at < to })
}

// accepted counts the requests that were accepted in a span of time since the world began.
func (w *world) accepted(from, to time.Duration) int {
	return w.count(func(c *call) bool {
		return c.accepted > 0 && from <= c.accepted && c.accepted < to
	})
}

func (w *world) count(which func(*call) bool) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if which(c) {
			n++
		}
	}
	return n
}

// keys returns the idempotency keys that came for a path.
func (w *world) keys(path string) (all []string) {
	w.count(func(c *call) bool {
		if c.path == path {
			all = append(all, c.key)
		}
		return false
	})
	return all
}

// always is later than anything in a test.
const always = 1000 * time.Hour

// A recorder is the writer of an answer.
type recorder struct {
	http.ResponseWriter
	accepted func()
}

func (r recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r recorder) WriteHeader(status int) {
	if status/100 == 2 {
		r.accepted()
	}
	r.ResponseWriter.WriteHeader(status)
}

// onFakeTime runs do in a world on fake time. No goroutine may be left when it returns: synctest
// sees to that. The handler is asked as far as do's options lead there; files are PUT to /00000,
// /00001, …
func onFakeTime(t *testing.T, files int, handler http.HandlerFunc, do func(w *world)) {
	dir, db := t.TempDir(), filepath.Join(t.TempDir(), "j.db")
	for i := range files {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("%05d", i)), "x")
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: memnet.Listen(), begin: time.Now(), db: db}
		world := w
		var handling sync.WaitGroup // one that sleeps does not see that its connection is gone
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
			r *http.Request) {
			handling.Add(1)
			defer handling.Done()
			c := &call{method: r.Method, host: r.Host, path: r.URL.Path,
				key: r.Header.Get("Idempotency-Key"), at: world.since()}
			world.mu.Lock()
			world.calls = append(world.calls, c)
			world.mu.Unlock()
			handler(recorder{w, func() {
				world.mu.Lock()
				defer world.mu.Unlock()
				c.accepted = max(1, world.since())
			}}, r)
		})}
		server.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				w.conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				w.conns.Add(-1)
			}
		}
		go server.Serve(w.net)
		defer handling.Wait()
		defer server.Close()
		w.Options = Options{
			GiveUpAfter: time.Hour,
			Progress:    &w.watch,
			Log: slog.New(slog.NewTextHandler(&w.watch,
				&slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		w.Network = wire.Network{StallTimeout: time.Minute, Dial: w.net.DialContext}
		w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{dir}})
		do(w)
	})
}

// from sets the source.
func (w *world) from(to string, o source.Options) {
	w.Helper()
	var err error
	if o.Template, err = template.ParseURL(to); err != nil {
		w.Fatal(err)
	}
	w.To = to
	if w.Source, err = source.New(o); err != nil {
		w.Fatal(err)
	}
	if w.Found, err = w.Source.Scan(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// formOf returns forms that have the item's file in the field f, or nil.
func formOf(t *testing.T, isForm bool) *compose.Template {
	if !isForm {
		return nil
	}
	form := new(compose.Template)
	test.OK(t, form.AddField("f"))
	return form
}

// manifest sets a manifest as the source.
func (w *world) manifest(lines string) {
	w.Helper()
	name := filepath.Join(w.TempDir(), "manifest")
	writeFile(w.T, name, lines)
	w.from("http://127.0.0.1/{name}", source.Options{Manifest: name})
}

// stdin sets a list of files on standard input as the source.
func (w *world) stdin(to, method string, lines ...string) {
	w.Helper()
	var err error
	t, err := template.ParseURL(to)
	test.OK(w, err)
	w.To = to
	if w.Source, err = source.New(source.Options{Paths: []string{"-"},
		Stdin: strings.NewReader(strings.Join(lines, "\n") +
			"\n"), Method: method, Template: t}); err != nil {
		w.Fatal(err)
	}
	if w.Found, err = w.Source.Scan(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// run does the run and checks what holds for every report.
func (w *world) run() report.Summary {
	w.Helper()
	return w.runUntil(context.Background(), context.Background())
}

func (w *world) runUntil(ctx, soft context.Context) report.Summary {
	w.Helper()
	s := Run(ctx, soft, w.Options)
	synctest.Wait()
	if n := w.conns.Load(); n != 0 && s.ExitStatus == exit.Delivered {
		w.Errorf("%d connections are left", n)
	}
	i := s.Items
	if sum := i.Delivered + i.Failed + i.Unknown + i.Skipped + i.Deferred +
		i.Remaining; sum != i.Total {
		w.Errorf("%d items ended or remain, of %d", sum, i.Total)
	}
	q := s.Requests
	if sum := q.Accepted + q.Throttled + q.Overloaded + q.TimedOut + q.Errors +
		q.NoAnswer["resent"]; sum != q.Sent {
		w.Errorf("%d requests ended, of %d sent", sum, q.Sent)
	}
	var places int64
	for _, counts := range []map[string]int64{q.ByStatus, q.NoAnswer} {
		for _, n := range counts {
			places += n
		}
	}
	if places != q.Sent {
		w.Errorf("%d requests have a place in the report, of %d sent: %v, %v", places, q.Sent,
			q.ByStatus, q.NoAnswer)
	}
	text, err := json.Marshal(s.Timeline)
	test.OK(w, err)
	var line struct{ Rows [][]float64 }
	test.OK(w, json.Unmarshal(text, &line))
	var sent, accepted float64
	for _, row := range line.Rows {
		sent, accepted = sent+row[1], accepted+row[2]
	}
	if int64(sent) != q.Sent || int64(accepted) != q.Accepted || len(line.Rows) > 600 {
		w.Errorf("the time line has %d rows with %v sent and %v accepted: %+v", len(line.Rows),
			sent, accepted, q)
	}
	waited := 0.0
	for _, seconds := range s.Waited {
		waited += seconds
	}
	if waited > s.Seconds+0.001 {
		w.Errorf("waited longer than the %v s of the run: %+v", s.Seconds, s.Waited)
	}
	return s
}

// journaled does a run with the world's journal, which continues the one before.
func (w *world) journaled() report.Summary {
	w.Helper()
	w.journal(w.db)
	return w.run()
}

// since is the time since the world began.
func (w *world) since() time.Duration { return time.Since(w.begin) }

// ended checks the exit status and the number of items by their end.
func (w *world) ended(s report.Summary, status int, delivered, failed, unknown, deferred,
	remaining int64) {
	w.Helper()
	want := report.ItemCounts{Total: delivered + failed + unknown + deferred + remaining,
		Delivered: delivered, Failed: failed, Unknown: unknown, Deferred: deferred,
		Remaining: remaining}
	if s.ExitStatus != status || s.Items != want {
		w.Errorf("exit status %d, %+v; want %d, %+v\n%s", s.ExitStatus, s.Items, status, want,
			errorsOf(s))
	}
}

// errorsOf is what a report says for people about what went wrong.
func errorsOf(s report.Summary) string {
	var b strings.Builder
	for _, g := range s.Errors {
		fmt.Fprintf(&b, "%s: %s\n", g.Status, g.Error)
	}
	return b.String() + strings.Join(s.Notes, "\n")
}

// A watcher keeps what a run shows. It is a progress.Sink, and a writer for its talk.
type watcher struct {
	mu        sync.Mutex
	snapshots []progress.Snapshot
	talk      strings.Builder
}

func (w *watcher) Update(s progress.Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.snapshots = append(w.snapshots, s); len(w.snapshots) > 500_000 {
		panic("the run has no end") // before it has no memory
	}
}

func (w *watcher) Log(string) {}
func (w *watcher) Close()     {}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.talk.Write(p)
}

// holding are the different things that held the run back, in words, in order.
func (w *watcher) holding() []string {
	var all []string
	for _, s := range w.snapshots {
		all = append(all, s.Holding)
	}
	return slices.Compact(all)
}

// accept is a handler that accepts, some time after it has read the body.
func accept(w http.ResponseWriter, r *http.Request, after time.Duration) {
	var b [1]byte
	_, _ = r.Body.Read(b[:])
	time.Sleep(after)
	w.WriteHeader(http.StatusCreated)
}

func atOnce(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }

// taking is a handler that accepts some time after it has read the body.
func taking(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { accept(w, r, d) }
}

// inTurn is a handler that meets the nth request as the nth of those given does, and what comes
// after them as the last.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		handlers[min(int(n.Add(1)), len(handlers))-1](w, r)
	}
}

// nth is a handler that accepts a request, unless do, which gets its number, has answered it.
func nth(do func(n int, w http.ResponseWriter, r *http.Request) bool) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if !do(int(n.Add(1)), w, r) {
			w.WriteHeader(http.StatusCreated)
		}
	}
}

// during is a handler that meets requests in a span of time since the world began as one of those
// given does, and others as the other.
func during(from, to time.Duration, one, other http.HandlerFunc) http.HandlerFunc {
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of fake time
	return func(w http.ResponseWriter, r *http.Request) {
		if since := time.Since(epoch); since >= from && since < to {
			one(w, r)
			return
		}
		other(w, r)
	}
}

// hosts has as many files sent to each of so many servers, in turn: 127.0.0.1, 127.0.0.2, ...
func (w *world) hosts(n, each int) {
	w.Helper()
	var lines strings.Builder
	for i := range each {
		for host := range n {
			fmt.Fprintf(&lines, "{\"path\":%q,\"url\":\"http://127.0.0.%d/%d\"}\n", w.firstFile(),
				host+1, i)
		}
	}
	w.manifest(lines.String())
}

// noted checks that the report has one note, and which.
func (w *world) noted(s report.Summary, want string) {
	w.Helper()
	if len(s.Notes) != 1 || s.Notes[0] != want {
		w.Errorf("notes %q, want %q", s.Notes, want)
	}
}

// logged checks how often the log has a text.
func (w *world) logged(text string, times int) {
	w.Helper()
	if talk := w.watch.talk.String(); strings.Count(talk, text) != times {
		w.Errorf("it does not say %q %d times:\n%s", text, times, talk)
	}
}

// stopped does a run that is interrupted, and interrupted once more, so long after its beginning.
// If zero, it is not.
func (w *world) stopped(first, second time.Duration) report.Summary {
	w.Helper()
	interrupted := &exit.Signal{Signal: os.Interrupt}
	ctx, breakOff := context.WithCancelCause(w.Context())
	defer breakOff(nil)
	soft, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if first > 0 {
		defer time.AfterFunc(first, func() { stop(interrupted) }).Stop()
	}
	if second > 0 {
		defer time.AfterFunc(second, func() { breakOff(interrupted) }).Stop()
	}
	return w.runUntil(ctx, soft)
}

// answering is a handler that answers with the status and the headers, which are names and values.
func answering(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

// copyJournal copies a journal that is in use, which is what is left of it if the program dies now.
func copyJournal(t *testing.T, from, to string) {
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(from + suffix)
		if err == nil {
			err = os.WriteFile(to+suffix, b, 0o600)
		}
		test.Check(t, err)
	}
}

// results has the run write results, and returns a function that returns what it wrote.
func (w *world) results() func() []results.Result {
	var lines bytes.Buffer
	to := results.NewWriter(&lines)
	w.Results = to
	return func() (all []results.Result) {
		w.Helper()
		test.OK(w, to.Close(w.Context()))
		for line := range bytes.Lines(lines.Bytes()) {
			var it struct {
				results.Result
				DeliveredAt time.Time `json:"delivered_at"`
			}
			test.OK(w, json.Unmarshal(line, &it))
			it.Result.DeliveredAt = it.DeliveredAt
			all = append(all, it.Result)
		}
		return all
	}
}

// rows returns what a journal has, which may be in use.
func rows(t *testing.T, name string) (all []journal.Item) {
	t.Helper()
	j, err := journal.OpenReader(name)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer j.Close()
	for it, err := range j.Items(0) {
		test.Check(t, err)
		all = append(all, it)
	}
	return all
}

// writeFile writes a file, and makes its directory.
func writeFile(t *testing.T, name, text string) {
	t.Helper()
	test.Check(t, errors.Join(os.MkdirAll(filepath.Dir(name), 0o700),
		os.WriteFile(name, []byte(text), 0o600)))
}

// https has the run trust a server of that name, h.example, and returns the server's configuration.
func (w *world) https(protocols ...string) *tls.Config {
	w.Helper()
	a := newAuthority(w.T)
	w.Network.TLS = &tls.Config{RootCAs: a.pool}
	w.Network.HTTP2 = slices.Contains(protocols, "h2")
	cert := a.issue(w.T, &x509.Certificate{DNSNames: []string{"h.example"}})
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: protocols}
}

// journal gives the run a journal; each call continues the last one's.
func (w *world) journal(name string) {
	w.Helper()
	j, err := journal.Open(context.Background(), journal.Options{Path: name})
	test.OK(w, err)
	w.Options.Journal = j
}

func (w *world) items(s report.Summary, want report.ItemCounts) {
	w.Helper()
	if diff := cmp.Diff(want, s.Items); diff != "" {
		w.Errorf("items (-want +got):\n%s%s", diff, errorsOf(s))
	}
}

// says checks that a report says each of the texts.
func (w *world) says(s report.Summary, texts ...string) {
	w.Helper()
	for _, text := range texts {
		if said := errorsOf(s); !strings.Contains(said, text) {
			w.Errorf("it does not say %q:\n%s", text, said)
		}
	}
}

// talks checks that the log has each of the texts.
func (w *world) talks(texts ...string) {
	w.Helper()
	for _, text := range texts {
		if talk := w.watch.talk.String(); !strings.Contains(talk, text) {
			w.Errorf("the log does not say %q:\n%s", text, talk)
		}
	}
}

// to has the same files sent elsewhere.
func (w *world) to(template string) {
	w.Helper()
	w.from(template, source.Options{Paths: []string{filepath.Dir(w.firstFile())}})
}

// asks counts all requests.
func (w *world) asks() int { return w.got(0, always) }

// method has all files sent by the method.
func (w *world) method(m string) {
	paths := []string{filepath.Dir(w.firstFile())}
	w.from(w.To, source.Options{Paths: paths, Method: m})
}

func (w *world) firstFile() string {
	for it, err := range w.Source.Items() {
		test.OK(w, err)
		return it.Path
	}
	w.Fatal("there is no file")
	return ""
}
