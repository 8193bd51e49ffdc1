package send

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"

	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// A counter is a connection that counts what is written to it.
type counter struct {
	net.Conn
	n *atomic.Int64
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// keepWriting writes a text again and again, at intervals, until the connection is gone.
func keepWriting(c net.Conn, text string, every time.Duration) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		time.Sleep(every)
	}
}

// sendBig makes the world's only file one of a MiB.
func (w *world) sendBig() {
	w.Helper()
	name := filepath.Join(w.TempDir(), "big")
	test.OK(w, os.WriteFile(name, make([]byte, 1<<20), 0o600))
	w.from(w.To, source.Options{Paths: []string{name}})
}

// answerHead is how much of the head of an answer is read.
const answerHead = 32 << 10

// An answer without end ends the attempt, and before long: no head takes longer than twice the
// limit for silence, or more than a little memory.
func TestHeadsAreBounded(t *testing.T) {
	const most = answerHead + 80<<10 // with what the connection and its reader hold
	for _, row := range []struct {
		name  string
		serve func(c net.Conn)
		after time.Duration
		says  string
	}{
		{"drips", func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nX-A: ")
			keepWriting(c, "a", limit/2)
		}, 2 * limit, "the headers of the answer were not complete within 2 m"},
		{"drips interim answers", func(c net.Conn) {
			keepWriting(c, "HTTP/1.1 102 Processing\r\n\r\n", limit/2)
		}, 2 * limit, "the headers of the answer were not complete within 2 m"},
		{"interim answers without end", func(c net.Conn) {
			keepWriting(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0)
		}, 0, "server response headers exceeded 32768 bytes"},
		{"reason without end", func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 201 ")
			keepWriting(c, "a", 0)
		}, 0, "server response headers exceeded 32768 bytes"},
		{"header without end", func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nX-A: ")
			keepWriting(c, "a", 0)
		}, 0, "server response headers exceeded 32768 bytes"},
		{"headers without end", func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\n")
			keepWriting(c, "A:\r\n", 0)
		}, 0, "server response headers exceeded 32768 bytes"},
		{"silent", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, limit,
			"the whole file was sent, and no answer came for 1 m"},
	} {
		var written atomic.Int64
		onRawServer(t, 1, func(c net.Conn) {
			if request(bufio.NewReader(c)) != nil {
				row.serve(counter{c, &written})
			}
		}, func(w *world) {
			w.Attempts = 1
			s := w.run()
			w.ended(s, exit.Items, 0, 1, 0, 0, 0)
			if w.since() != row.after || !strings.Contains(errorsOf(s), row.says) {
				t.Errorf("%s: after %v: %s", row.name, w.since(), errorsOf(s))
			}
		})
		if n := written.Load(); n > most {
			t.Errorf("%s: %d bytes were taken", row.name, n)
		}
	}
}

// A server that talks but does not read is no server to wait for.
func TestTalkingIsNoReading(t *testing.T) {
	onRawServer(t, 1, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil { // its head
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nX-A: ")
		keepWriting(c, "a", limit/2)
	}, func(w *world) {
		w.sendBig()
		w.Attempts = 1
		s := w.run()
		w.ended(s, exit.Items, 0, 1, 0, 0, 0)
		if w.since() < limit || w.since() > 2*limit ||
			!strings.Contains(errorsOf(s), "no byte moved for 1 m") {
			t.Errorf("after %v: %s", w.since(), errorsOf(s))
		}
	})
}

// A server may think for long before its answer, as long as it has not begun it.
func TestThinkingIsNoStall(t *testing.T) {
	onRawServer(t, 1, func(c net.Conn) {
		if request(bufio.NewReader(c)) == nil {
			return
		}
		time.Sleep(limit - time.Second)
		_, _ = io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\n")
		time.Sleep(limit - time.Second)
		_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
	}, func(w *world) {
		w.Attempts = 1
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
	})
}

// What follows the head of an answer holds nothing up for long, whatever it is, and takes little
// memory. The head has decided.
func TestBodiesAreBounded(t *testing.T) {
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	gzip := "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08"
	for _, body := range []struct {
		name, head, more string
		every            time.Duration
	}{
		{"endless", "\r\n", "aaaaaaaaaaaaaaaa", 0},
		{"with a length", "Content-Length: 9223372036854775807\r\n\r\n", "aaaaaaaaaaaaaaaa", 0},
		{"dripping", "\r\n", "a", time.Second / 4},
		{"dripping chunks", chunked, "1\r\na\r\n", time.Second / 4},
		{"chunk size without end", chunked, "0", 0},
		{"dripping chunk extension", chunked + "1;", "a", time.Second / 4},
		{"trailer without end", "Trailer: X-A\r\n" + chunked + "0\r\nX-A: ", "a", 0},
		{"dripping trailer", "Trailer: X-A\r\n" + chunked + "0\r\n", "X-A: a\r\n", time.Second / 4},
		{"silent", "Content-Length: 1\r\n\r\n", "", time.Second},
		{"gzip", gzip, strings.Repeat("\x00", 1024), 0},
	} {
		for _, status := range []string{"201 Created", "400 Bad Request", "500 Error",
			"101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x"} {
			var written atomic.Int64
			onRawServer(t, 1, func(c net.Conn) {
				if request(bufio.NewReader(c)) != nil {
					c := counter{c, &written}
					_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\n"+body.head)
					keepWriting(c, body.more, body.every)
				}
			}, func(w *world) {
				w.Attempts = 1
				s := w.run()
				if status == "201 Created" {
					w.ended(s, exit.Delivered, 1, 0, 0, 0, 0)
				} else {
					w.ended(s, exit.Items, 0, 1, 0, 0, 0)
				}
				if w.since() > reply.MaxTime {
					t.Errorf("%s, %s: after %v", body.name, status, w.since())
				}
			})
			if n := written.Load(); n > reply.MaxHead+reply.MaxRest+80<<10 {
				t.Errorf("%s, %s: %d bytes were taken", body.name, status, n)
			}
		}
	}
}

// Who is sent round in circles stops before long, and says so.
func TestRedirectsAreBounded(t *testing.T) {
	long := strings.Repeat("a", 30<<10)
	for _, row := range []struct {
		name, to string
		requests int64
		says     string
	}{
		{"loop", "/round", 10,
			"redirected to http://127.0.0.1/round, the 10th redirect in a row: no more are " +
				"followed"},
		{"ever new", "/$", 10, "the 10th redirect in a row: no more are followed"},
		{"long", "/" + long, 10, "aaa…, the 10th redirect in a row"},
		{"elsewhere", "http://10.0.0.1/" + long, 1,
			"aaa…, another origin, which is not followed: send there"},
	} {
		for _, body := range []string{"Content-Length: 0\r\n\r\n", "\r\n"} {
			var requests atomic.Int64
			onRawServer(t, 1, func(c net.Conn) {
				r := bufio.NewReader(c)
				for request(r) != nil {
					n := requests.Add(1)
					_, _ = fmt.Fprintf(c, "HTTP/1.1 307 Go\r\nLocation: %s\r\n%s",
						strings.Replace(row.to, "$", fmt.Sprint(n), 1), body)
					if body == "\r\n" {
						keepWriting(c, "a", time.Second)
					}
				}
			}, func(w *world) {
				var lines strings.Builder
				w.Results = results.NewWriter(&lines)
				w.ended(w.run(), exit.Items, 0, 1, 0, 0, 0)
				if text := lines.String(); !strings.Contains(text, row.says) || len(text) > 1000 {
					t.Errorf("%s: %s", row.name, text)
				}
				if requests.Load() != row.requests || w.since() > reply.MaxTime+time.Second {
					t.Errorf("%s: %d requests in %v", row.name, requests.Load(), w.since())
				}
			})
		}
	}
}

// A server that sends more than it was asked for ends no run, nor holds it up.
func TestUnaskedAnswers(t *testing.T) {
	log.SetOutput(io.Discard) // net/http talks of it
	defer log.SetOutput(os.Stderr)
	onRawServer(t, 20, func(c net.Conn) {
		for r := bufio.NewReader(c); request(r) != nil; {
			_, _ = io.WriteString(c,
				"HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 408 No\r\nContent-Length: "+
					"0\r\n\r\n")
		}
	}, func(w *world) {
		if s := w.run(); s.Items.Delivered == 0 || s.Items.Delivered+s.Items.Failed != 20 ||
			w.since() > time.Minute {
			t.Errorf("after %v: %+v\n%s", w.since(), s.Items, errorsOf(s))
		}
	})
}

// However many servers' answers come at once, and however they are filled, memory stays within
// bounds.
func TestMemoryIsBounded(t *testing.T) {
	var head strings.Builder
	head.WriteString("HTTP/1.1 400 No\r\n")
	for i := 0; head.Len() < answerHead-100; i++ {
		fmt.Fprintf(&head, "%s:\r\n", strconv.FormatInt(int64(i), 36))
	}
	head.WriteString("\r\n" + strings.Repeat("a", 100))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(t, err)
	defer l.Close()
	const together = 256
	var arrived sync.WaitGroup
	arrived.Add(together)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if request(bufio.NewReader(c)) == nil {
					return
				}
				arrived.Done()
				arrived.Wait()
				_, _ = io.WriteString(c, head.String())
			}()
		}
	}()
	dir := t.TempDir()
	for i := range together {
		writeFile(t, filepath.Join(dir, fmt.Sprint(i)), "x")
	}
	w := &world{T: t}
	w.from("http://"+l.Addr().String()+"/{path}", source.Options{Paths: []string{dir}})
	w.Limits = throttle.Limits{InFlight: together, Fixed: true}
	w.Network.StallTimeout = limit
	w.Attempts, w.Workers = 1, together
	w.Progress, w.Log = &w.watch, slog.New(slog.DiscardHandler)

	var most uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse+m.StackInuse)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	s := Run(t.Context(), t.Context(), w.Options)
	close(stop)
	<-stopped
	t.Logf("at most %d MiB for %d answers at once", most>>20, together)
	if s.Requests.ByStatus["400"] != together || most > 256<<20 {
		t.Errorf("%d MiB, %+v", most>>20, s.Requests.ByStatus)
	}
}

// Neither what a server says nor how a file is called can move the cursor, turn the text round, or
// add a line that we have not written.
func TestTextsAreTame(t *testing.T) {
	names := []string{"a", "b\x1b[2J\x1b[1;1H", "c\n1 of 1 delivered", "d\u202egpj.exe",
		"e\xff\xfe", "f\r\u009b2J", "g\u2028h\u2029\u0085i"}
	for _, said := range []string{
		"no\x1b]0;title\x07", "no\u009b2J\u009d", "no \u202etxet eht \u2066dnuor\u2069",
		"no\nexit status 0: all delivered", "no\r1 of 1 delivered",
		"no \xff\xc0\x80\xed\xa0\x80 utf-8", "no \u2028line\u2029paragraph\u0085", "no" +
			strings.Repeat("\u0300", 500), "no \u200b\u200e\ufeff\U000e0041",
	} {
		dir := t.TempDir()
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
				t.Skip(err) // a system that has no such names
			}
		}
		onRawServer(t, 1, func(c net.Conn) {
			r := bufio.NewReader(c)
			for req := request(r); req != nil; req = request(r) {
				switch text := said + ": " + req.URL.Path; req.URL.Path {
				case "/a":
					_, _ = fmt.Fprintf(c,
						"HTTP/1.1 307 %s\r\nLocation: http://x.example/%s\r\nContent-Length: "+
							"0\r\n\r\n", strings.ReplaceAll(said, "\n", " "), url.PathEscape(text))
				case "/e\xff\xfe":
					_, _ = fmt.Fprintf(c, "HTTP/1.1 400 No\r\n%s\r\n\r\n",
						strings.ReplaceAll(text, ":", ""))
					return
				default:
					_, _ = fmt.Fprintf(c, "HTTP/1.1 400 %s\r\nContent-Length: %d\r\n\r\n%s",
						strings.ReplaceAll(said, "\n", " "), len(text), text)
				}
			}
		}, func(w *world) {
			s := w.all()
			w.from(w.To, source.Options{Paths: []string{dir}})
			s.Attempts = 1
			sum := s.run()
			w.ended(sum, exit.Items, 0, int64(len(names)), 0, 0, 0)
			s.each(func(name, content string) {
				if name == "journal.db" || name == "journal.db.lock" {
					return
				}
				for _, c := range content {
					if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c) ||
						c == '\u2028' || c == '\u2029') && name != "results" && name != "report" {
						t.Errorf("%q: the %s has %q: %q", said, name, c, content)
						break
					}
				}
				for line := range strings.Lines(content) {
					if line = strings.TrimSpace(line); strings.HasPrefix(line, "1 of 1") ||
						strings.HasPrefix(line, "exit status 0") {
						t.Errorf("%q: the %s has a line of somebody else's: %s", said, name, line)
					}
					if (name == "results" || strings.HasSuffix(name, "JSON")) &&
						!json.Valid([]byte(line)) {
						t.Errorf("%q: the %s has no JSON: %s", said, name, line)
					}
				}
			})
			lines := 0
			for line := range strings.Lines(s.results.String()) {
				lines++
				var item results.Result
				if err := json.Unmarshal([]byte(line), &item); err != nil ||
					item.Error != human.Printable(item.Error) {
					t.Errorf("%q: %v: error %q", said, err, item.Error)
				}
			}
			if lines != len(names) {
				t.Errorf("%q: %d lines of results:\n%s", said, lines, s.results.String())
			}
			if !json.Valid(s.report.Bytes()) {
				t.Errorf("%q: the report is no JSON:\n%s", said, s.report.String())
			}
		})
	}
}

// [sham] An acceptance that looks like none is warned of, once a run, and counts.
func TestShamAcceptance(t *testing.T) {
	const page, failed = "with a web page", "its text says that it failed"
	for _, c := range []struct {
		status     int
		kind, text string
		want       string
	}{
		{200, "text/html; charset=utf-8", "\n<!DOCTYPE html><title>Sign in</title>", page},
		{200, "application/json", `{"success":false,"message":"no"}`, failed},
	} {
		onFakeTime(t, 5, func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			rw.Header().Set("Content-Type", c.kind)
			rw.WriteHeader(c.status)
			io.WriteString(rw, c.text)
		}, func(w *world) {
			w.ended(w.run(), exit.Delivered, 5, 0, 0, 0, 0)
			talk := w.watch.talk.String()
			if n := strings.Count(talk, "level=WARN"); c.want == "" && n != 0 || c.want != "" &&
				(n != 1 || !strings.Contains(talk, c.want) || !strings.Contains(talk, "/0000")) {
				t.Errorf("%d %s %.50s: want %q in\n%s", c.status, c.kind, c.text, c.want, talk)
			}
		})
	}
}

// What a page says, or an answer in gzip, is told of the file.
func TestPagesAreToldOf(t *testing.T) {
	for _, c := range []struct{ kind, coding, body, want string }{
		{"text/html", "", "<html><head><title>Only JPEG is accepted</title></head>",
			"422 Unprocessable Entity: Only JPEG is accepted"},
		{"application/json", "gzip", zipped(`{"error":"no such album"}`),
			`422 Unprocessable Entity: {"error":"no such album"}`},
	} {
		onFakeTime(t, 1, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			if c.coding != "" {
				w.Header().Set("Content-Encoding", c.coding)
			}
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(c.body))
		}, func(w *world) {
			w.says(w.run(), c.want)
		})
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}
