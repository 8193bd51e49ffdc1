package send

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/secret/secrettest"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/pool"
)

// onRawServer is onFakeTime with a server below HTTP: serve has a connection until it returns, or
// until do has.
func onRawServer(t *testing.T, files int, serve func(c net.Conn), do func(w *world)) {
	onFakeTime(t, files, nil, func(w *world) {
		l := memnet.Listen()
		var serving sync.WaitGroup
		var mu sync.Mutex
		var conns []net.Conn
		serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				conns = append(conns, c)
				mu.Unlock()
				serving.Go(func() {
					defer c.Close()
					serve(c)
				})
			}
		})
		w.Network.Dial = l.DialContext
		do(w)
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
}

// request reads a request with its body; nil if there is none.
func request(r *bufio.Reader) *http.Request {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil
	}
	_, _ = io.Copy(io.Discard, req.Body)
	return req
}

// sinks are all that a run writes.
type sinks struct {
	*world
	dir                      string
	text, json, line, stream bytes.Buffer // the talk, and two kinds of progress
	results, summary, report bytes.Buffer
}

// all replaces what the world's run writes to.
func (w *world) all() *sinks {
	s := &sinks{world: w, dir: w.TempDir()}
	w.Progress = progresses{&w.watch,
		progress.New("line", &s.line), progress.New("json", &s.stream)}
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	w.Log = slog.New(slog.NewMultiHandler(slog.NewTextHandler(&s.text, debug),
		slog.NewJSONHandler(&s.json, debug)))
	w.Results = results.NewWriter(&s.results)
	w.journal(filepath.Join(s.dir, "journal.db"))
	return s
}

// run does the run and closes what it writes to.
func (s *sinks) run() report.Summary {
	s.Helper()
	sum := s.world.run()
	s.Progress.Close()
	if err := s.Journal.Close(sum.ExitStatus); err != nil && !errors.Is(err, os.ErrClosed) {
		s.Error(err)
	}
	sum.WriteText(&s.summary, &s.summary)
	test.Check(s, sum.EncodeJSON(&s.report))
	return sum
}

// each calls do with the name and content of each sink, the journal's files included.
func (s *sinks) each(do func(name, content string)) {
	s.Helper()
	for name, b := range map[string]*bytes.Buffer{"log": &s.text, "log as JSON": &s.json,
		"progress": &s.line, "progress as JSON": &s.stream,
		"results": &s.results, "summary": &s.summary, "report": &s.report} {
		do(name, b.String())
	}
	var held strings.Builder
	for _, snapshot := range s.watch.snapshots {
		held.WriteString(snapshot.Holding + "\n")
	}
	do("what holds it back", held.String())
	files, err := os.ReadDir(s.dir)
	test.OK(s, err)
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(s.dir, f.Name()))
		test.OK(s, err)
		do(f.Name(), string(content))
	}
}

// noSecrets looks for planted secrets, all of which have "sesame" in them.
func (s *sinks) noSecrets(what string) {
	s.Helper()
	s.each(func(name, content string) {
		if text := secrettest.Find(content, encoded...); text != "" {
			s.Errorf("%s: in the %s: …%s…", what, name, text)
		}
	})
}

// encoded are credentials as headers have them.
var encoded = []string{
	secrettest.Basic("user", "sesame/pass@word"), secrettest.Basic("proxy", "sesame-proxy"),
	secrettest.Basic("line", "sesame-of-line"),
}

type progresses []progress.Sink

func (p progresses) Update(s progress.Snapshot) {
	for _, one := range p {
		one.Update(s)
	}
}

func (p progresses) Log(line string) {
	for _, one := range p {
		one.Log(line)
	}
}

func (p progresses) Close() {
	for _, one := range p {
		one.Close()
	}
}

// plant gives the run a secret wherever it can have one.
func (s *sinks) plant() {
	s.Header = http.Header{
		"X-Key":    {"sesame-key.eyJ+/==", `sesame "quoted" \back`, "sesame%2Fescaped%zz"},
		"Cookie":   {"id=sesame-id; t=sesame-t"},
		"X-Secret": {"sésame<&>'sesame'", "日本sesame語", "caf\xe9-sesame"},
	}
	proxy, err := url.Parse("http://proxy:sesame-proxy@proxy.example:3128")
	test.OK(s, err)
	s.Network.Proxy = proxy
	to := "http://user:sesame%2Fpass%40word@h.example/up/{name}" +
		"?sig=sesame%2Bsig%2f%3D&sesame-bare&token={token}&n={name}"
	line := func(more string) string {
		return fmt.Sprintf(`{"path":%q,"token":"sesame+token/=&ü"%s}`+"\n", s.firstFile(), more)
	}
	name := filepath.Join(s.TempDir(), "manifest")
	lines := line("") + line(`,"method":"POST"`) +
		line(`,"url":"http://line:sesame-of-line@h.example/x`+
			`?X-Amz-Signature=sesame%2Bsigned&X-Amz-Credential=sesame%2F20260101"`) +
		line(`,"method":"POST","url":"http://h.example/y?sesame-query",`+
			`"headers":{"Authorization":"Bearer sesame-bearer","X-Own-Key":"sesame own"}`)
	test.OK(s, os.WriteFile(name, []byte(lines), 0o600))
	s.from(to, source.Options{Manifest: name})
	s.HeaderOrigin = "http://h.example"
}

// [secrets] A server may send back what it was sent, in every place of an answer and in any
// spelling. Nothing of that comes out again, wherever a run writes to.
func TestNoSecretComesBack(t *testing.T) {
	answers := append(secrettest.Answers,
		secrettest.Answer{Name: "body, cut off",
			Text: "HTTP/1.1 400 No\r\nContent-Length: 65536\r\n\r\n" +
				strings.Repeat("x", reply.MaxHead-300) + "$"},
		secrettest.Answer{Name: "body, elliptic",
			Text: "HTTP/1.1 400 No\r\nConnection: close\r\n\r\nwrong: sesame-bea..., sesame-k…"},
		secrettest.Answer{Name: "twice", Text: "HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n" +
			"HTTP/1.1 408 $\r\n\r\n"})
	for _, answer := range answers {
		for _, spelling := range secrettest.Spellings[:5] {
			name := answer.Name
			if race.Enabled && len(name+spelling.Name)%5 != 0 { // the same ones each time
				continue
			}
			onRawServer(t, 1, func(c net.Conn) {
				r := bufio.NewReader(c)
				for req := request(r); req != nil; req = request(r) {
					_, _ = io.WriteString(c,
						answer.Echo(spelling.Write, req.RequestURI, req.Header))
					if name != "twice" {
						return
					}
				}
			}, func(w *world) {
				s := w.all()
				s.plant()
				// As the command has it.
				log.SetOutput(conceal.NetLog(s.Log))
				defer log.SetOutput(os.Stderr)
				s.Attempts, s.GiveUpAfter, s.Limits.InFlight = 2, time.Minute, 1
				sum := s.run()
				if name != "twice" && sum.Items.Delivered > 0 || s.results.Len() == 0 {
					t.Errorf("%s, %s: %+v\n%s", name, spelling.Name, sum.Items, s.results.String())
				}
				s.noSecrets(name + ", " + spelling.Name)
			})
		}
	}
}

// Nor where there is no answer, or an item or the run fails for another reason.
func TestNoSecretWithoutAnAnswer(t *testing.T) {
	bad := errors.New(`Post "https://id:sesame@auth.example/t?secret=sesame": EOF: ` +
		`sesame-key.eyJ+/== for "proxy:sesame-proxy"`)
	fails := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	for name, do := range map[string]func(s *sinks){
		"dial": func(s *sinks) { s.Network.Dial = fails(&net.OpError{Op: "dial", Err: bad}) },
		"no address": func(s *sinks) {
			s.Network.Dial = fails(&net.DNSError{Err: bad.Error(), Name: "sesame-key.eyJ+/==",
				IsNotFound: true})
		},
	} {
		says := "EOF"
		if name == "no address" {
			says = "no such host: ***"
		}
		onRawServer(t, 1, func(net.Conn) {}, func(w *world) {
			s := w.all()
			s.plant()
			do(s)
			s.Attempts, s.GiveUpAfter = 1, time.Second
			s.run()
			s.noSecrets(name)
			if !strings.Contains(s.summary.String()+s.results.String(), says) {
				t.Errorf("%s: %s", name, s.summary.String())
			}
		})
	}
}

// Nor what a panic says, or the reason why a run ends.
func TestNoSecretInReasons(t *testing.T) {
	onRawServer(t, 1, func(net.Conn) {}, func(w *world) {
		s := w.all()
		s.plant()
		r := newRun(s.Options)
		r.ending.Begin = func() {}
		for it := range s.Source.Items() {
			bad := fmt.Errorf("%s: it was %q", it.URL, s.Header)
			r.pool.OnError(&job{item: it}, &pool.PanicError{Value: bad})
			r.end(stop.JournalFailed{Err: bad})
			r.Log.Info(fmt.Sprintf("%q", s.Header))
		}
		facts := r.facts(upstream.Overview{}, nil, time.Now())
		_, words := facts.Holding()
		s.text.WriteString(words)
		_ = r.pool.Drain(context.Background())
		test.Check(t, s.Journal.Close(0))
		r.closeResults(context.Background())
		sum := r.summary()
		sum.WriteText(&s.summary, &s.summary)
		_ = sum.EncodeJSON(&s.report)
		s.noSecrets("reasons")
		s.each(func(name, content string) {
			switch name {
			case "results", "summary", "log":
				if !strings.Contains(content, "it was") && !strings.Contains(content, "msg=") {
					t.Errorf("the %s has no reason: %s", name, content)
				}
			}
		})
	})
}

// Nothing that is secret is in what is said of an item, whatever the server sends back and wherever
// that is cut.
func TestSecretsAreHidden(t *testing.T) {
	var mu sync.Mutex
	answer := ""
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, answer)
	}, func(w *world) {
		w.from("http://me:sesame-1@127.0.0.1/{name}?key=sesame-2%2f",
			source.Options{Paths: []string{w.firstFile()}})
		w.Header = http.Header{"Authorization": {"Bearer sesame-3"},
			"Cookie": {`id="sesame-4"; x=1`}, "X-Api-Key": {`ses "a" me`, "sesame-6",
				"sesame-6-seseme"}}
		secrets := []string{
			"sesame-1", "me:sesame-1", "bWU6c2VzYW1lLTE=", "sesame-2/", "sesame-2%2f",
			"sesame-2%2F",
			"Bearer sesame-3", "sesame-3", "sesame-4", `ses "a" me`, `ses \"a\" me`,
			"ses+%22a%22+me", "sesame-6-seseme",
		}
		for _, secret := range secrets {
			for _, pad := range []int{0, reply.MaxExcerpt - len(secret) - 1,
				reply.MaxExcerpt - len(secret)/2, reply.MaxExcerpt - 1} {
				answer = strings.Repeat(".", pad) + secret + " is wrong"
				text := errorsOf(w.run())
				if strings.Contains(text, "ses") || strings.Contains(text, "c2Vz") ||
					!strings.Contains(text, "400 Bad Request") {
					t.Errorf("of %q is shown %q", secret, text)
				}
			}
		}
	})
}

// A run warns once, whatever single items have of their own.
func TestExposedIsToldOnce(t *testing.T) {
	for name, row := range map[string]struct {
		header http.Header
		url    string
		own    string
		times  int
	}{
		"for all": {http.Header{"Authorization": {"Bearer sesame"}}, "http://a.example/x", "", 1},
		"and their own": {http.Header{"Authorization": {"Bearer sesame"}}, "http://a.example/x",
			`,"headers":{"X-Token":"sesame"}`, 1},
		"their own":     {nil, "http://a.example/x", `,"headers":{"X-Token":"sesame"}`, 1},
		"in their URLs": {nil, "http://u:sesame@a.example/x", "", 1},
		"at home":       {nil, "http://127.0.0.1/x", `,"headers":{"X-Token":"sesame"}`, 0},
		"nothing":       {nil, "http://a.example/x", "", 0},
	} {
		onFakeTime(t, 1, atOnce, func(w *world) {
			var lines strings.Builder
			for _, n := range []string{"1", "2", "3"} {
				lines.WriteString(`{"path":"` + w.firstFile() + `","url":"` + row.url + n + `"` +
					row.own + "}\n")
			}
			w.manifest(lines.String())
			w.Header = row.header
			if row.header != nil {
				w.HeaderOrigin = "http://a.example"
			}
			w.ended(w.run(), exit.Delivered, 3, 0, 0, 0, 0)
			talk := w.watch.talk.String()
			if n := strings.Count(talk, "others can read it"); n != row.times ||
				strings.Contains(talk, "sesame") {
				t.Errorf("%s: said %d times, want %d:\n%s", name, n, row.times, talk)
			}
		})
	}
}
