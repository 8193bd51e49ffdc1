package lab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// everything is each preset in each of its ways.
func everything() (all [][2]string) {
	for _, p := range presets {
		all = append(all, [2]string{p.Name, ""}, [2]string{p.Name, "keys=honour"})
	}
	for _, kind := range faultKinds {
		all = append(all, [2]string{"flaky", always(kind)})
	}
	for _, kind := range hostileKinds.names() {
		all = append(all, [2]string{"hostile", "kind=" + kind + "&count=1000&size=128KiB"})
	}
	for _, mode := range []string{"hang", "503"} {
		all = append(all, [2]string{"down", "after=0s&mode=" + mode})
	}
	return all
}

// dial connects as a client that is about to die.
func (b *bench) dial() net.Conn {
	b.Helper()
	conn, err := b.client.Transport.(*http.Transport).DialContext(b.Context(), "tcp", "lab:80")
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

// Whatever the server is up to, it never stores a body that it has not got whole, and it does not
// keep the idempotency key of one.
func TestBrokenBodies(t *testing.T) {
	requests := map[string]string{
		"short":        "Content-Length: 10\r\n\r\n01234",
		"last byte":    "Content-Length: 10\r\n\r\n012345678",
		"chunk":        "Transfer-Encoding: chunked\r\n\r\n5\r\n012",
		"chunks":       "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
		"bad chunk":    "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\nxx\r\n",
		"head":         "Content-Length: 10\r\n",
		"bad length":   "Content-Length: -1\r\n\r\n01234",
		"two lengths":  "Content-Length: 5\r\nContent-Length: 6\r\n\r\n01234",
		"no last line": "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n",
	}
	ends := map[string]func(net.Conn){
		"close":       func(c net.Conn) { c.Close() },
		"close write": func(c net.Conn) { c.(interface{ CloseWrite() error }).CloseWrite() },
		"reset":       reset,
	}
	for _, which := range everything() {
		t.Run(which[0]+" "+which[1], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for what, request := range requests {
					for how, end := range ends {
						b := newBench(t, which[0], which[1])
						conn := b.dial()
						go io.Copy(io.Discard, conn)
						fmt.Fprint(conn,
							"POST /x HTTP/1.1\r\nHost: lab\r\nIdempotency-Key: k\r\n"+request)
						synctest.Wait()
						end(conn)
						time.Sleep(time.Hour)
						if s := b.Stats(); s.Accepted != 0 || s.Unknown != 0 ||
							len(s.Items) != 0 || len(b.ledger.mu.working) != 0 {
							t.Errorf("%s, %s: %+v", what, how, s)
						}
						conn.Close()
						b.Close()
					}
				}
			})
		})
	}
}

// A body that came whole is stored, when the client has died since too: it cannot know, and the
// server has it.
func TestClientGone(t *testing.T) {
	for _, tt := range []struct {
		preset, params string
		accepted       int64
	}{
		{"tutorial", "", 1},
		{"threads", "", 1},
		{"cpu", "", 1},
		{"quota", "", 1},
		{"flaky", always("stalled"), 0}, // it is that which it is for
	} {
		for how, end := range map[string]func(net.Conn){"close": func(c net.Conn) { c.Close() },
			"reset": reset} {
			t.Run(tt.preset+" "+how, func(t *testing.T) {
				bubble(t, tt.preset, tt.params, func(t *testing.T, b *bench) {
					conn := b.dial()
					fmt.Fprint(conn,
						"PUT /x HTTP/1.1\r\nHost: lab\r\nIdempotency-Key: k\r\nContent-Length: "+
							"5\r\n\r\n01234")
					synctest.Wait()
					end(conn)
					time.Sleep(time.Hour)
					s := b.Stats()
					if s.Accepted != tt.accepted || s.Unknown != tt.accepted ||
						s.Unanswered != 1 || s.Answered != 0 || len(s.ByStatus) != 0 {
						t.Errorf("%+v", s)
					}
					if tt.accepted > 0 {
						b.want("item", s.Items["/x"],
							Item{Size: 5, SHA256: hash("01234"), Times: 1, Keys: []string{"k"}})
					}
				})
			})
		}
	}
}

// Every request ends in one way.
func TestEachRequestEnds(t *testing.T) {
	for _, which := range everything() {
		t.Run(which[0]+" "+which[1], func(t *testing.T) {
			bubble(t, which[0], which[1], func(t *testing.T, b *bench) {
				b.client.Timeout = time.Minute
				b.client.Transport.(*http.Transport).MaxResponseHeaderBytes = 64 << 10
				for i := range 20 {
					req := b.request("POST", "/x", "a")
					req.Header.Set("Idempotency-Key", fmt.Sprint("k", i/2))
					if resp, err := b.client.Do(req); err == nil {
						io.CopyN(io.Discard, resp.Body, 1000)
						resp.Body.Close()
					}
				}
				b.client.CloseIdleConnections()
				time.Sleep(24 * time.Hour)
				s := b.Stats()
				sum := s.Unanswered
				for _, n := range s.ByStatus {
					sum += n
				}
				early := strings.HasPrefix(which[1], "kind=early")
				if s.Requests != sum || s.Answered+s.Refused+s.Unanswered != sum ||
					s.Accepted != s.Items["/x"].Times || len(b.ledger.mu.working) != 0 ||
					!early && s.Accepted-s.Unknown+s.Replayed < s.Answered {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}
