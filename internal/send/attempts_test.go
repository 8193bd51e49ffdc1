package send

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/throttle"
)

// What is written of a file speaks of all its attempts.
func TestResultsOfSeveralAttempts(t *testing.T) {
	again := answering(http.StatusServiceUnavailable, "Retry-After", "30")
	onFakeTime(t, 1, inTurn(again, again, taking(time.Second)), func(w *world) {
		lines := w.results()
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
		got := lines()
		want := results.Result{Path: w.firstFile(), Rel: "00000", URL: "http://127.0.0.1/00000",
			Method: "PUT", Status: item.Delivered, HTTPStatus: 201, Attempts: 3, Bytes: 1,
			Seconds: w.since().Seconds()}
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
		if want := 24 * time.Second; w.since() != want || s.Requests.TimedOut != 1 ||
			s.Latency.Max != 5 {
			t.Errorf("over after %v, want %v; %+v, %+v", w.since(), want, s.Requests, s.Latency)
		}
		w.says(s, "the attempt took longer than --timeout 5 s")
	})
}

// A request that net/http sends once more by itself, because its connection was dead, pays and
// counts.
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

// attempts adds up those of results.
func attempts(lines []results.Result) (n int) {
	for _, it := range lines {
		n += it.Attempts
	}
	return n
}

// What the results and the report say of requests is what the server has seen of them, also where a
// run ends while many files wait for their next attempt.
func TestAttemptsAreThoseTheServerSaw(t *testing.T) {
	late := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(100 * time.Millisecond)
			h(w, r)
		}
	}
	alternate := func(bad http.HandlerFunc, good int) http.HandlerFunc {
		return late(inTurn(slices.Repeat(append(slices.Repeat([]http.HandlerFunc{atOnce}, good),
			bad), 60)...))
	}
	for name, handler := range map[string]http.HandlerFunc{
		"refused until the end": alternate(answering(http.StatusTooManyRequests), 2),
		"failing until the end": late(inTurn(append(slices.Repeat([]http.HandlerFunc{atOnce}, 10),
			answering(500))...)),
		"redirected": alternate(answering(http.StatusTemporaryRedirect, "Location",
			"/elsewhere"), 1),
	} {
		for _, withJournal := range []bool{false, true} {
			onFakeTime(t, 60, handler, func(w *world) {
				lines := w.results()
				w.Limits.InFlight = 4
				if withJournal {
					w.journal(w.db)
				}
				s := w.stopped(900*time.Millisecond, 0)
				if n, seen := attempts(lines()), w.asks(); n != seen || int(s.Requests.Sent) != n {
					t.Errorf("%s: %d attempts in the results, %d seen by the server; %+v, %+v",
						name, n, seen, s.Requests, s.Items)
				}
			})
		}
	}
}

// A server that goes away sends back what it has not processed. Each request has one place in the
// report, whatever net/http makes of that: those of the server's own record under their status, the
// others as resent.
func TestGoAwayIsCountedOnce(t *testing.T) {
	const files, perConn = 60, 7
	var config *tls.Config
	var processed atomic.Int64
	onRawServer(t, files, func(c net.Conn) {
		conn := &h2{Conn: tls.Server(c, config)}
		conn.serve("", true, func(stream uint32) {
			const last = 2*perConn - 1
			switch {
			case stream > last:
				return
			case stream == last: // what comes after it is not processed
				_ = conn.frame(frameGoAway, 0, 0,
					string(binary.BigEndian.AppendUint32(nil, stream))+"\x00\x00\x00\x00")
			}
			processed.Add(1)
			time.Sleep(50 * time.Millisecond)
			_ = conn.frame(frameHeaders, flagEnd|flagEndHeaders, stream, status200)
		})
	}, func(w *world) {
		config = w.https("h2")
		w.to("https://h.example/{path}")
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

// A server that resets a stream (PROTOCOL_ERROR) may have stored the file, although net/http would
// send the request again. A POST is sent once. To send a PUT again is an attempt, of which there
// are as many as --attempts says, and a 412 then says nothing about whose file is there.
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
				w.Attempts = 3
				w.NoOverwrite = c.method == "PUT" && c.unknown > 0
				w.from("https://h.example/{path}",
					source.Options{Paths: []string{name}, Method: c.method,
						Body: formOf(t, c.form != "")})
				w.ended(w.run(), exit.Items, 0, 1-c.unknown, c.unknown, 0, 0)
				if n := requests.Load(); n != c.requests {
					t.Errorf("%s, %d bytes, form %q: %d requests, want %d", c.method, size,
						c.form, n, c.requests)
				}
			})
		}
	}
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

// A file in its second attempt waits for no attempt any more: nothing is held by the workers.
func TestSecondAttemptIsNoBackoff(t *testing.T) {
	twice := inTurn(answering(http.StatusInternalServerError), taking(10*time.Second))
	onFakeTime(t, 1, twice, func(w *world) {
		w.Workers = 2
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
		for _, text := range w.watch.holding() {
			if strings.Contains(text, "--workers") {
				t.Errorf("it is %q", text)
			}
		}
	})
}
