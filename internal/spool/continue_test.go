package spool

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/retry"
)

// A server that passes on what it receives asks for a body when the request's turn has come, and
// hands the answer back with the body of an attempt that nobody reads any more still on its way.
func TestContinueWhenItsTurnHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := provide(early429)
		rc, end := p.client()
		rc.HTTP.Transport = late{rc.HTTP.Transport}
		rc.Policy.Base = time.Second
		s, data := new(Store), content(1000)
		front := memnet.Listen()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
			r *http.Request) {
			b := s.Keep(r.Body, r.ContentLength)
			defer b.Close()
			out, err := http.NewRequestWithContext(r.Context(), r.Method, "http://h.example/", nil)
			test.Check(t, err)
			b.Set(out)
			resp, err := rc.Do(out)
			test.Check(t, err)
			defer resp.Body.Close()
			b.Forget()
			check(t, "kept", s.Stats(), Stats{Bodies: 1})
			w.WriteHeader(resp.StatusCode)
		})}
		done := make(chan error)
		go func() { done <- server.Serve(front) }()

		start := time.Now()
		conn, err := front.DialContext(t.Context(), "", "")
		test.OK(t, err)
		fmt.Fprintf(conn, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n"+
			"Expect: 100-continue\r\nConnection: close\r\n\r\n", len(data))
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		test.OK(t, err)
		check(t, "interim", line, "HTTP/1.1 100 Continue\r\n")
		check(t, "its time", time.Since(start), turn)
		_, err = r.ReadString('\n')
		test.OK(t, err)
		time.Sleep(2 * turn) // slow, so that the second attempt begins meanwhile
		_, err = conn.Write(data)
		test.OK(t, err)
		resp, err := http.ReadResponse(r, nil)
		test.OK(t, err)
		check(t, "status", resp.StatusCode, 201)
		_, err = io.Copy(io.Discard, resp.Body)
		test.OK(t, err)
		conn.Close()
		server.Close()
		<-done
		end()
		check(t, "requests", p.requests, 2)
		check(t, "received", string(p.bodies[0]) == string(data), true)
		check(t, "stats", s.Stats(), Stats{})
	})
}

// turn is how long a request waits for its turn.
const turn = time.Minute

type late struct{ http.RoundTripper }

func (l late) RoundTrip(r *http.Request) (*http.Response, error) {
	if retry.Attempt(r.Context()) == 1 {
		time.Sleep(turn)
	}
	return l.RoundTripper.RoundTrip(r)
}
