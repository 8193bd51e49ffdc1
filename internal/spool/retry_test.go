package spool

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/retry"
)

// A provider is a server below HTTP. The first request goes wrong, the others are accepted.
type provider struct {
	*memnet.Listener
	wrong func(c *memnet.Conn, r *bufio.Reader)
	wg    sync.WaitGroup

	mu       sync.Mutex
	requests int
	bodies   [][]byte // those that were received whole
}

func provide(wrong func(c *memnet.Conn, r *bufio.Reader)) *provider {
	p := &provider{Listener: memnet.Listen(), wrong: wrong}
	p.wg.Go(func() {
		for {
			c, err := p.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() {
				defer c.Close()
				p.serve(c.(*memnet.Conn))
			})
		}
	})
	return p
}

func (p *provider) serve(c *memnet.Conn) {
	p.mu.Lock()
	p.requests++
	n := p.requests
	p.mu.Unlock()
	r := bufio.NewReader(c)
	if n == 1 && p.wrong != nil {
		p.wrong(c, r)
		return
	}
	p.accept(c, r, "201 Created")
}

// accept reads a request whole, then answers.
func (p *provider) accept(c *memnet.Conn, r *bufio.Reader, status string) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	if req.Header.Get("Expect") != "" {
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.bodies = append(p.bodies, body)
	p.mu.Unlock()
	answer(c, status)
}

func answer(c *memnet.Conn, status string) {
	fmt.Fprintf(c, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", status)
}

// client returns a client of the provider, and what ends both.
func (p *provider) client() (*retry.Client, func()) {
	tr := &http.Transport{DialContext: p.DialContext, ExpectContinueTimeout: time.Minute}
	c := &retry.Client{HTTP: &http.Client{Transport: tr}, Policy: retry.Policy{Base: 1, Factor: 1}}
	return c, func() {
		tr.CloseIdleConnections()
		p.Close()
		p.wg.Wait()
	}
}

// What goes wrong with a first attempt.
func early429(c *memnet.Conn, r *bufio.Reader) {
	http.ReadRequest(r)
	answer(c, "429 Too Many Requests")
}

func resetInTheMiddle(c *memnet.Conn, r *bufio.Reader) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	if req.Header.Get("Expect") != "" {
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	io.CopyN(io.Discard, req.Body, 150)
	c.Reset()
}

// A body is repeated, with the same bytes, where the table of package retry says that a request is.
func TestUnderRetry(t *testing.T) {
	type result struct {
		outcome  retry.Outcome
		status   int
		requests int
	}
	created := result{retry.Delivered, 201, 2}
	for _, c := range []struct {
		name      string
		wrong     func(c *memnet.Conn, r *bufio.Reader) // if nil, the status is the answer
		put, post result
	}{
		{"429 early", early429, created, created},
		{"reset in the middle", resetInTheMiddle, created, result{retry.Unknown, 0, 1}},
		{"503 at the end", nil, created, created},
		{"502 at the end", nil, created, result{retry.Unknown, 502, 1}},
	} {
		for _, size := range []int{351, 200_000} {
			for _, length := range []int64{int64(size), -1} {
				for _, method := range []string{"PUT", "POST", "POST with a key"} {
					what := fmt.Sprintf("%s, %s, %d bytes of %d", c.name, method, size, length)
					synctest.Test(t, func(t *testing.T) {
						p := provide(c.wrong)
						if c.wrong == nil {
							p.wrong = func(conn *memnet.Conn, r *bufio.Reader) {
								p.accept(conn, r, c.name[:len("503")]+" No")
							}
						}
						rc, end := p.client()
						defer end()
						s, data := &Store{Dir: t.TempDir(), Memory: 50_000}, content(size)
						from := &client{data: data, piece: 10_000, every: time.Millisecond}
						b := s.Keep(from, length)
						want := c.put
						verb, _, _ := strings.Cut(method, " ")
						req, err := http.NewRequestWithContext(t.Context(), verb,
							"http://h.example/", nil)
						test.OK(t, err)
						switch method {
						case "POST":
							want = c.post
						case "POST with a key":
							req.Header.Set("Idempotency-Key", "k")
						}
						b.Set(req)
						resp, err := rc.Do(req)
						b.Forget()
						r := retry.OutcomeOf(resp, err)
						if got := (result{r.Outcome, r.Status, p.requests}); got != want {
							t.Errorf("%s: %+v, want %+v: %v", what, got, want, r.Err)
						}
						check(t, what+": attempts", r.Attempts, want.requests)
						for _, body := range p.bodies {
							if !bytes.Equal(body, data) {
								t.Errorf("%s: %d bytes were received", what, len(body))
							}
						}
						if resp != nil {
							resp.Body.Close()
						}
						check(t, what+": the client's error", b.Err(), nil)
						check(t, what+": kept at the end", s.Stats(), Stats{Bodies: 1})
						b.Close()
						time.Sleep(time.Second) // a reader may still wait for the client
					})
				}
			}
		}
	}
}

// A body that is not kept has one attempt, whose answer is the last one, at once.
func TestOneAttempt(t *testing.T) {
	for _, length := range []int64{200_000, -1} {
		synctest.Test(t, func(t *testing.T) {
			var p *provider
			p = provide(func(c *memnet.Conn, r *bufio.Reader) {
				p.accept(c, r, "503 No\r\nRetry-After: 60")
			})
			rc, end := p.client()
			defer end()
			var events []retry.Event
			rc.Observe = func(e retry.Event) { events = append(events, e) }
			data := content(200_000)
			b := (&Store{MaxBody: 100_000}).Keep(&client{data: data}, length)
			defer b.Close()
			req, err := http.NewRequestWithContext(t.Context(), "PUT", "http://h.example/", nil)
			test.OK(t, err)
			b.Set(req)
			start := time.Now()
			resp, err := rc.Do(req)
			test.OK(t, err)
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			check(t, "status", resp.StatusCode, 503)
			check(t, "answer", string(text), "ok")
			check(t, "time", time.Since(start), time.Duration(0))
			r := retry.OutcomeOf(resp, err)
			check(t, "outcome", r.Outcome, retry.Deferred)
			check(t, "may be sent again", r.RetryAt.Sub(start), time.Minute)
			check(t, "bound", errors.Is(r.Err, ErrBound), true)
			check(t, "reason", events[len(events)-1].Reason, "body cannot be sent again")
			check(t, "requests", p.requests, 1)
			check(t, "the same", bytes.Equal(p.bodies[0], data), true)
		})
	}
}

// Nothing of a body is lost while no connection could be made, even if it will not be kept.
func TestNotYetRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := provide(nil)
		rc, end := p.client()
		defer end()
		p.Refuse(true)
		time.AfterFunc(time.Minute, func() { p.Refuse(false) })
		rc.Policy.Base = time.Second
		from := &client{data: content(1000)}
		b := (&Store{MaxBody: 100}).Keep(from, 1000)
		defer b.Close()
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://h.example/", nil)
		test.OK(t, err)
		b.Set(req)
		resp, err := rc.Do(req)
		check(t, "outcome", retry.OutcomeOf(resp, err).Outcome, retry.Delivered)
		check(t, "the same", bytes.Equal(p.bodies[0], content(1000)), true)
		resp.Body.Close()
	})
}

// The client's faults are told from the server's.
func TestClientAtFaultUnderRetry(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		size int64
		sent int
		end  error
	}{
		{"breaks off", 1000, 500, boom},
		{"breaks off, size unknown", -1, 500, boom},
		{"too short", 1000, 500, nil},
		{"too long", 1000, 1001, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := provide(nil)
			rc, end := p.client()
			b := new(Store).Keep(&client{data: content(c.sent), end: c.end}, c.size)
			defer b.Close()
			req, err := http.NewRequestWithContext(t.Context(), "PUT", "http://h.example/", nil)
			test.OK(t, err)
			b.Set(req)
			resp, err := rc.Do(req)
			r := retry.OutcomeOf(resp, err)
			check(t, c.name+": outcome", r.Outcome, retry.Failed)
			check(t, c.name+": attempts", r.Attempts, 1)
			check(t, c.name+": Err", errors.As(b.Err(), new(*ClientError)), true)
			end()
			if c.end != nil || c.sent < 1000 { // net/http asks what follows once the rest is sent
				check(t, c.name+": received whole", len(p.bodies), 0)
			}
		})
	}
}
