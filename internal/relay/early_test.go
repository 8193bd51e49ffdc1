package relay

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/test"
)

// early answers before it has read a body.
func early(rw http.ResponseWriter, req *http.Request) {
	if !strings.HasPrefix(req.URL.Path, "/base/early") {
		echo(rw, req)
		return
	}
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err == nil {
		io.WriteString(conn, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
		io.Copy(io.Discard, conn)
		conn.Close()
	}
}

// After an answer that came before the end of the request, no other is taken on that connection:
// net/http would panic.
func TestNextAfterEarlyAnswer(t *testing.T) {
	for _, method := range []string{"POST", "PUT"} {
		start(t, Options{Stall: 5 * time.Second}, early, func(w *world) {
			conn := w.dial()
			defer conn.Close()
			io.WriteString(conn, method+" /early HTTP/1.1\r\nHost: localhost\r\n"+
				"Content-Length: 100000\r\n\r\n"+strings.Repeat("x", 99_990))
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			test.OK(t, err)
			body, err := io.ReadAll(resp.Body)
			test.OK(t, err)
			if resp.StatusCode != 413 || !resp.Close || string(body) != "no" {
				t.Errorf("%s: %d %s, close %v", method, resp.StatusCode, body, resp.Close)
			}
			time.Sleep(time.Second)
			io.WriteString(conn, strings.Repeat("x", 10)+"POST /next HTTP/1.1\r\n"+
				"Host: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\ny")
			rest, err := io.ReadAll(r)
			if len(rest) > 0 || err != nil {
				t.Errorf("%s: and then %q, %v", method, rest, err)
			}
			w.want(method + " /base/early?from=relay 0s")
		})
	}
}

// A client that neither sends the rest of what was answered already nor goes away is given up.
func TestStallsAfterEarlyAnswer(t *testing.T) {
	for _, method := range []string{"POST", "PUT"} {
		start(t, Options{Stall: 5 * time.Second}, early, func(w *world) {
			conn := w.dial()
			defer conn.Close()
			io.WriteString(conn, method+" /early HTTP/1.1\r\nHost: localhost\r\n"+
				"Content-Length: 100000\r\n\r\n"+strings.Repeat("x", 50_000))
			test.OK(t, conn.SetReadDeadline(w.begin.Add(time.Hour)))
			_, err := io.ReadAll(conn)
			const upload = 50 * time.Millisecond // which net/http gives one that is answered
			if took := time.Since(w.begin); err != nil || took != upload+5*time.Second {
				t.Errorf("%s: closed after %v: %v", method, took, err)
			}
		})
	}
}

// A slow is a connection that takes a while for each write.
type slow struct{ net.Conn }

func (c slow) Write(p []byte) (int, error) {
	time.Sleep(300 * time.Millisecond)
	return c.Conn.Write(p)
}

type slowly struct{ net.Listener }

func (l slowly) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return slow{c}, err
}

// The relay does not end before the last answer is written.
func TestStopsAfterTheLastAnswer(t *testing.T) {
	start(t, Options{}, echo, func(w *world) {
		r := New(w.relay.Options)
		at := memnet.Listen()
		soft, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			_, _ = r.Serve(context.Background(), soft, slowly{at})
			close(ended)
		}()
		w.client.Transport = &http.Transport{DialContext: at.DialContext}
		time.AfterFunc(100*time.Millisecond, stop)
		if a := w.send("PUT", "/x", "x"); a.status != 200 || a.body != "PUT /base/x  x" {
			t.Errorf("%d %s", a.status, a.body)
		}
		<-ended
		if took := time.Since(w.begin); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
