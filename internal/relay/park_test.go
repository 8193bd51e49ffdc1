package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
	"github.com/penstock/penstock/throttle"
)

// echo answers with what it got.
func echo(rw http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	fmt.Fprintf(rw, "%s %s %s %s", req.Method, req.URL.Path, req.Header.Get("X-Own"), body)
}

// What was parked arrives in its turn as it was sent, on connections that go on being used.
func TestParked(t *testing.T) {
	o := Options{Limits: throttle.Limits{Rate: 1, Fixed: true}}
	startWith(t, 0, o, echo, func(w *world) {
		var group sync.WaitGroup
		for i, answered := range [][]int{{0, 1}, {2, 4}, {3, 5}} { // in seconds
			group.Go(func() {
				for _, want := range answered {
					method, body := "PUT", fmt.Sprintf("body %d", i)
					if i == 2 {
						method, body = "GET", ""
					}
					req := w.request(method, fmt.Sprintf("/%d", i), body)
					req.Header.Set("X-Own", "own")
					a := w.do(req)
					if want := fmt.Sprintf("%s /base/%d own %s", method, i, body); a.body != want {
						t.Errorf("%d: %d %q, want %q", i, a.status, a.body, want)
					}
					if got := time.Since(w.begin).Seconds(); got != float64(want) {
						t.Errorf("%d: answered after %v s, want %d", i, got, want)
					}
				}
			})
			synctest.Wait()
		}
		time.Sleep(500 * time.Millisecond)
		if s := w.relay.Stats(time.Now()); s.Active != 3 || s.Waiting != 3 || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
		group.Wait()
	})
}

// A request is not sent whose client goes away while it is parked, and one that is late is refused.
func TestParkedInVain(t *testing.T) {
	o := Options{Limits: throttle.Limits{InFlight: 1, Fixed: true}}
	slow := func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Second) }
	startWith(t, 0, o, slow, func(w *world) {
		var group sync.WaitGroup
		group.Go(func() { w.send("PUT", "/first", "x") })
		synctest.Wait()
		ctx, leave := context.WithCancel(w.t.Context())
		group.Go(func() {
			_, err := w.client.Do(w.request("PUT", "/gone", "x").WithContext(ctx))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the client that goes: %v", err)
			}
		})
		group.Go(func() {
			req := w.request("PUT", "/late", "x")
			req.Header.Set("Prefer", "wait=3")
			if a := w.do(req); a.Status != 503 || a.took != 3*time.Second {
				t.Errorf("late: %d %s after %v", a.status, a.body, a.took)
			}
		})
		time.Sleep(time.Second)
		leave()
		synctest.Wait()
		if s := w.relay.Stats(time.Now()); s.Active != 2 || s.Waiting != 1 || s.Lost != 1 {
			t.Errorf("%+v", s)
		}
		group.Wait()
		time.Sleep(time.Second)
		if s := w.relay.Stats(time.Now()); s.Active != 0 || s.Failed != 1 {
			t.Errorf("in the end %+v", s)
		}
		w.want("PUT /base/first?from=relay 0s")
	})
}

// Requests that a client sends behind one that is parked are not lost.
func TestPipelined(t *testing.T) {
	o := Options{Limits: throttle.Limits{Rate: 1, Fixed: true}}
	startWith(t, 0, o, echo, func(w *world) {
		dial := w.client.Transport.(*http.Transport).DialContext
		conn, err := dial(w.t.Context(), "tcp", "x")
		test.OK(t, err)
		defer conn.Close()
		const next = "PUT /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n"
		io.WriteString(conn, next+"1"+next+"2")
		r := bufio.NewReader(conn)
		for i := range 3 {
			resp, err := http.ReadResponse(r, nil)
			test.OK(t, err)
			body, err := io.ReadAll(resp.Body)
			test.OK(t, err)
			if at := time.Since(w.begin); at != time.Duration(i)*time.Second ||
				!strings.HasSuffix(string(body), fmt.Sprint(i+1)) {
				t.Errorf("%d: %s at %v", i, body, at)
			}
			if i == 0 {
				time.Sleep(100 * time.Millisecond)
				io.WriteString(conn, next+"3")
			}
		}
	})
}

// When the user stops the relay, what is parked is sent, or refused when it takes too long.
func TestStopWhileParked(t *testing.T) {
	for patience, want := range map[time.Duration]int{time.Hour: 200, 5 * time.Second: 503} {
		o := Options{Limits: throttle.Limits{InFlight: 1, Fixed: true}, StopTimeout: patience}
		slow := func(rw http.ResponseWriter, req *http.Request) {
			time.Sleep(10 * time.Second)
		}
		startWith(t, 0, o, slow, func(w *world) {
			var group sync.WaitGroup
			group.Go(func() { w.send("PUT", "/first", "x") })
			synctest.Wait()
			group.Go(func() {
				a := w.send("PUT", "/parked", "x")
				if end := min(patience, 20*time.Second); a.status != want || a.took != end {
					t.Errorf("%v: %d %s after %v", patience, a.status, a.body, a.took)
				}
			})
			synctest.Wait()
			w.stop(nil)
			group.Wait()
		})
	}
}

// A parked request is read once more as if its client had just sent it, however that looks.
func TestParkedHeads(t *testing.T) {
	const rest = "\r\nContent-Length: 1\r\n"
	for name, head := range map[string]string{
		"no name of the host": "PUT /x HTTP/1.1\r\nHost:" + rest,
		"no host":             "PUT /x HTTP/1.0\r\nConnection: keep-alive" + rest,
		"longer when it is written again": "PUT /x HTTP/1.1\r\nHost: localhost" + rest +
			strings.Repeat("a:b\r\n", headBytes/len("a:b\r\n")),
	} {
		o := Options{Limits: throttle.Limits{Rate: 1, Fixed: true}}
		startWith(t, 0, o, echo, func(w *world) {
			w.send("PUT", "/first", "x")
			conn := w.dial()
			defer conn.Close()
			r := bufio.NewReader(conn)
			for range 2 {
				io.WriteString(conn, head+"\r\nB")
				resp, err := http.ReadResponse(r, nil)
				test.OK(t, err)
				body, err := io.ReadAll(resp.Body)
				test.OK(t, err)
				if string(body) != "PUT /base/x  B" {
					t.Errorf("%s: %d %s", name, resp.StatusCode, body)
				}
			}
			if s := w.relay.Stats(time.Now()); s.Lost != 0 || s.Answered != 3 {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
}
