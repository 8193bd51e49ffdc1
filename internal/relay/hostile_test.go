package relay

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// Whatever a target sends, its client gets an answer or sees that it was broken off, and others
// notice nothing: no place in flight is lost.
func TestRubbishFromTarget(t *testing.T) {
	log.SetOutput(io.Discard) // net/http logs unsolicited answers there
	defer log.SetOutput(os.Stderr)
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
	for _, c := range []struct {
		name, sends string
		status      int // 0: the connection ends without an answer
		body        string
	}{
		{"another protocol", "SSH-2.0-OpenSSH_9\r\n", 502, ""},
		{"nothing", "", 502, ""},
		{"status too small", "HTTP/1.1 099 No\r\nContent-Length: 3\r\n\r\nabc", 502, ""},
		{"status too large", "HTTP/1.1 1000 No\r\nContent-Length: 3\r\n\r\nabc", 502, ""},
		{"switch that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n" +
			"Connection: Upgrade\r\n\r\nabc", 502, ""},
		{"two lengths", whole + "Content-Length: 4\r\n\r\nabcd", 502, ""},
		{"no length", "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", 502, ""},
		{"a NUL", whole + "X: a\x00b\r\n\r\nabc", 502, ""},
		{"large head", whole + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\nabc", 502, ""},
		{"many headers", whole + strings.Repeat("X: 1\r\n", 10_000) + "\r\nabc", 502, ""},
		{"no more than interim answers", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n",
			clientconn.MostInterim+1), 502, ""},
		{"length and chunks", whole + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
			200, "ab"},
		{"folded header", whole + "X: a\r\n b\r\n\r\nabc", 200, "abc"},
		{"too long", whole + "\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 200, "abc"},
		{"too short", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", 200,
			"abcunexpected EOF"},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 200,
			"abcunexpected EOF"},
	} {
		handle := func(rw http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/base/good" {
				return
			}
			io.Copy(io.Discard, req.Body)
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err == nil {
				io.WriteString(conn, c.sends)
				conn.Close()
			}
		}
		o := Options{Limits: throttle.Limits{InFlight: 1}}
		start(t, o, handle, func(w *world) {
			method := "POST"
			if c.status == 200 {
				method = "PUT" // which may be repeated if its connection is just being closed
			}
			for range 2 {
				w.send("PUT", "/good", "")
				a := w.send(method, "/bad", "x")
				switch {
				case a.status != c.status, c.status == 200 && a.body != c.body:
					t.Errorf("%s: %d %q", c.name, a.status, a.body)
				case c.status == 502 && (a.Status != 502 || len(a.Detail) > 300):
					t.Errorf("%s: %s", c.name, a.body)
				}
			}
			if a := w.send("PUT", "/good", ""); a.status != 200 {
				t.Errorf("%s, and then %d %s", c.name, a.status, a.body)
			}
			if u, _ := w.relay.transport.Lookup("http://target"); u.Stats().InFlight != 0 {
				t.Errorf("%s: %+v", c.name, u.Stats())
			}
		})
	}
}

// A target that takes too long is a timeout of the gateway.
func TestTargetTakesTooLong(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		<-req.Context().Done()
	}
	for name, o := range map[string]Options{
		"attempt": {Timeout: 5 * time.Second, Attempts: 2},
		"stall":   {Network: wire.Network{StallTimeout: 5 * time.Second}, Attempts: 2},
	} {
		start(t, o, handle, func(w *world) {
			for _, method := range []string{"POST", "PUT"} {
				a := w.send(method, "/x", "x")
				if a.Status != 504 || strings.Count(a.Detail, "accepted") > 1 {
					t.Errorf("%s of %s: %s", name, method, a.body)
				}
				if o.Timeout > 0 && !strings.Contains(a.Detail, "the request or the server") {
					t.Errorf("%s: %s", name, a.Detail)
				}
			}
		})
	}
}

// raw sends what a client may not, and returns the answers' status lines.
func (w *world) raw(sends string) (answers []string) {
	w.t.Helper()
	conn := w.dial()
	defer conn.Close()
	_, _ = io.WriteString(conn, sends) // of what is refused not all is read
	test.OK(w.t, conn.SetReadDeadline(time.Now().Add(time.Second)))
	for r := bufio.NewReader(conn); ; {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers
		}
		text, _ := io.ReadAll(resp.Body)
		answers = append(answers, fmt.Sprintf("%d %s", resp.StatusCode, text))
	}
}

func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := w.client.Transport.(*http.Transport).DialContext(w.t.Context(), "tcp", "x")
	test.OK(w.t, err)
	return conn
}

// A request whose framing is doubtful is refused, or goes out with one framing that is not: what
// one client sends never becomes a request of another.
func TestDoubtfulFraming(t *testing.T) {
	const head, host = "POST /x HTTP/1.1\r\nHost: localhost\r\n", "Host: localhost\r\n"
	for _, c := range []struct {
		name, sends string
		status      string // of the first answer
		arrives     string
	}{
		{"length and chunks", head + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"3\r\nabc\r\n0\r\n\r\n", "200", "POST abc chunked"},
		{"a request behind the chunks", head + "Content-Length: 6\r\nTransfer-Encoding: chunked" +
			"\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n" + host + "\r\n", "200",
			"POST  chunked, GET  0"}, // both are of the one client
		{"two lengths", head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400", ""},
		{"one length twice", head + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "200",
			"POST abc 3"},
		{"a list of lengths", head + "Content-Length: 3, 3\r\n\r\nabc", "400", ""},
		{"a length with a sign", head + "Content-Length: +3\r\n\r\nabc", "400", ""},
		{"a length of its connection", head + "Connection: content-length\r\n" +
			"Content-Length: 3\r\n\r\nabc", "200", "POST abc 3"},
		{"another coding", head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501", ""},
		{"two codings", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501", ""},
		{"a coding twice", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" +
			"\r\n\r\n0\r\n\r\n", "501", ""},
		{"a blank before the colon", head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400",
			""},
		{"a folded coding", head + "Transfer-Encoding:\r\n chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			"200", "POST abc chunked"},
		{"a folded header", "GET /x HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", "200",
			"GET  0 a b"},
		{"line feeds alone", "GET /x HTTP/1.1\nHost: localhost\nX: 1\n\n", "200", "GET  0 1"},
		{"a carriage return alone", "GET /x HTTP/1.1\r\n" + host + "X: a\rY: b\r\n\r\n", "400", ""},
		{"chunks with line feeds", head + "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n", "400",
			""},
		{"a chunk without end", head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
			"400", ""},
		{"a chunk that is longer than it says", head + "Transfer-Encoding: chunked\r\n\r\n" +
			"3\r\nabcdef\r\n0\r\n\r\n", "400", ""},
		{"a body that is longer than it says", head + "Content-Length: 3\r\n\r\nabcdef", "200",
			"POST abc 3"},
		{"two hosts", "GET /x HTTP/1.1\r\n" + host + "Host: b\r\n\r\n", "400", ""},
		{"no host", "GET /x HTTP/1.1\r\n\r\n", "400", ""},
		{"a header of 2 MiB", "GET /x HTTP/1.1\r\n" + host + "X: " + strings.Repeat("x", 2<<20) +
			"\r\n\r\n", "431", ""},
		{"an expectation", head + "Expect: miracles\r\nContent-Length: 3\r\n\r\nabc", "417", ""},
		{"TRACE", "TRACE /x HTTP/1.1\r\n" + host + "\r\n", "501", ""},
		{"a path with ..;", "GET /..;/x HTTP/1.1\r\n" + host + "\r\n", "400", ""},
		{`a path with ..\`, `GET /..\x HTTP/1.1` + "\r\n" + host + "\r\n", "400", ""},
	} {
		var arrived []string
		handle := func(rw http.ResponseWriter, req *http.Request) {
			text, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			framing := strings.Join(req.TransferEncoding, ",")
			if framing == "" {
				framing = fmt.Sprint(req.ContentLength)
			}
			arrived = append(arrived, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", req.Method, text,
				framing, req.Header.Get("X"))))
		}
		start(t, Options{}, handle, func(w *world) {
			answers := append(w.raw(c.sends), "none")
			if !strings.HasPrefix(answers[0], c.status) || answers[0] == c.status {
				t.Errorf("%s: answered %q", c.name, answers)
			}
			if got := strings.Join(arrived, ", "); got != c.arrives {
				t.Errorf("%s: %q arrived", c.name, got)
			}
		})
	}
}

// A request that is given up after attempts says what became of these.
func TestLateAfterAttempts(t *testing.T) {
	handle := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Retry-After", "20")
		rw.WriteHeader(http.StatusTooManyRequests)
	}
	start(t, Options{}, handle, func(w *world) {
		req := w.request("PUT", "/x", "x")
		req.Header.Set("Prefer", "wait=30")
		a := w.do(req)
		if a.Status != 503 || a.Outcome != retry.Deferred || a.Attempts != 2 ||
			a.took < 20*time.Second || a.took > 30*time.Second ||
			a.header.Get("Retry-After") == "" ||
			!strings.Contains(a.Detail, "within 30 s (Prefer: wait=30); the server asked for") ||
			!strings.Contains(a.Detail, "(429)") {
			t.Errorf("after %v: %v %s", a.took, a.header, a.body)
		}
	})
}

// A body that cannot be kept has one attempt, and a line says so now and then.
func TestBodyIsNotKept(t *testing.T) {
	n := 0
	handle := func(rw http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		if n++; n%2 == 1 {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	gone := &spool.Store{Dir: filepath.Join(t.TempDir(), "gone")}
	start(t, Options{Spool: gone}, handle, func(w *world) {
		for range 2 {
			n = 0
			if a := w.send("PUT", "/large", strings.Repeat("x", 2<<20)); a.status != 503 || n != 1 {
				t.Errorf("large: %d %s after %d requests", a.status, a.body, n)
			}
			n = 0
			if a := w.send("PUT", "/small", "x"); a.status != 200 || n != 2 {
				t.Errorf("small: %d %s after %d requests", a.status, a.body, n)
			}
		}
		if log := w.logged(); strings.Count(log, "--spool-bytes") != 1 ||
			!strings.Contains(log, "no such file or directory") {
			t.Error(log)
		}
		if s := gone.Stats(); s != (spool.Stats{}) {
			t.Errorf("kept: %+v", s)
		}
	})
}

// A body that ends too early is its client's fault, whatever way it takes.
func TestShortBody(t *testing.T) {
	handle := func(rw http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) }
	for _, head := range []string{
		"PUT /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc",
		"PUT /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nabc",
		"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nabc",
		"PUT /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"GET /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc",
	} {
		start(t, Options{Limits: throttle.Limits{InFlight: 1}}, handle, func(w *world) {
			conn := w.dial()
			defer conn.Close()
			io.WriteString(conn, head)
			test.OK(t, conn.(*memnet.Conn).CloseWrite())
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("%q: %v", head, err)
			} else if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 ||
				!strings.Contains(string(text), "as it was announced") {
				t.Errorf("%q: %d %s", head, resp.StatusCode, text)
			}
			if a := w.send("PUT", "/x", "x"); a.status != 200 || a.took != 0 {
				t.Errorf("%q, and then %d %s", head, a.status, a.body)
			}
		})
	}
}
