package send

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/source"
)

// attempts adds up those of a results file.
func attempts(t *testing.T, lines *bytes.Buffer) (n int) {
	t.Helper()
	for d := json.NewDecoder(lines); ; {
		var it results.Result
		if err := d.Decode(&it); err == io.EOF {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
		n += it.Attempts
	}
}

// What the results and the report say of requests is what the server has seen of them, also where a run ends while many
// files wait for their next attempt.
func TestAttemptsAreThoseTheServerSaw(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(n int, w http.ResponseWriter, r *http.Request) bool
	}{
		{"refused until the end", func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n%3 == 0 {
				w.WriteHeader(http.StatusTooManyRequests)
			}
			time.Sleep(100 * time.Millisecond)
			return n%3 == 0
		}},
		{"failing until the end", func(n int, w http.ResponseWriter, _ *http.Request) bool {
			time.Sleep(100 * time.Millisecond)
			if n > 10 {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return n > 10
		}},
		{"redirected", func(n int, w http.ResponseWriter, _ *http.Request) bool {
			time.Sleep(100 * time.Millisecond)
			if n%2 == 1 {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
			return n%2 == 1
		}},
	} {
		for _, withJournal := range []bool{false, true} {
			s := &shelf{do: c.do}
			onFakeTime(t, 60, s.ServeHTTP, func(w *world) {
				var lines bytes.Buffer
				w.Results = results.NewWriter(&lines)
				w.Limits.InFlight = 4
				if withJournal {
					w.journal(filepath.Join(w.TempDir(), "j.db"))
				}
				soft, stop := context.WithTimeout(context.Background(), 900*time.Millisecond)
				defer stop()
				sum := w.runUntil(context.Background(), soft)
				if n := attempts(t, &lines); n != s.count() || int(sum.Requests.Sent) != n {
					t.Errorf("%s: %d attempts in the results, %d seen by the server; %+v, %+v", c.name, n, s.count(), sum.Requests, sum.Items)
				}
			})
		}
	}
}

// large has one file of that size sent.
func (w *world) large(size int64) {
	w.Helper()
	dir := w.TempDir()
	name := filepath.Join(dir, "large")
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Truncate(name, size)); err != nil {
		w.Fatal(err)
	}
	w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{dir}})
}

// A server that goes away sends back what it has not processed. Each request has one place in the report, whatever
// net/http makes of that: those of the server's own record under their status, the others as resent.
func TestGoAwayIsCountedOnce(t *testing.T) {
	const files, perConn = 60, 7
	var config *tls.Config
	var processed atomic.Int64
	onRawServer(t, 40, func(c net.Conn) {
		conn := &h2{Conn: tls.Server(c, config)}
		conn.serve("", true, func(stream uint32) {
			const last = 2*perConn - 1
			switch {
			case stream > last:
				return
			case stream == last: // what comes after it is not processed
				_ = conn.frame(frameGoAway, 0, 0, string(binary.BigEndian.AppendUint32(nil, stream))+"\x00\x00\x00\x00")
			}
			processed.Add(1)
			time.Sleep(50 * time.Millisecond)
			_ = conn.frame(frameHeaders, flagEnd|flagEndHeaders, stream, status200)
		})
	}, func(w *world) {
		a := newAuthority(t)
		config = &tls.Config{Certificates: []tls.Certificate{a.issue(t, &x509.Certificate{DNSNames: []string{"h.example"}})}, NextProtos: []string{"h2"}}
		w.Network.TLS = &tls.Config{RootCAs: a.pool}
		w.Network.HTTP2 = true
		dir := t.TempDir()
		for i := range files {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.from("https://h.example/{path}", source.Options{Paths: []string{dir}})
		w.Limits.InFlight = 16
		var lines bytes.Buffer
		w.Results = results.NewWriter(&lines)
		s := w.run()
		w.ended(s, exit.Delivered, files, 0, 0, 0, 0)
		if n := processed.Load(); s.Requests.ByStatus["200"] != n || s.Requests.Accepted != n {
			t.Errorf("%d in the server's record: %+v", n, s.Requests)
		}
		if n := attempts(t, &lines); int64(n) != s.Requests.Sent {
			t.Errorf("%d attempts in the results, %d sent", n, s.Requests.Sent)
		}
	})
}
