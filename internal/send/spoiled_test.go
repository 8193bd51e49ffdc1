package send

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/source"
)

// [changed] A file that changes each time it is sent is tried as often as --attempts says, whatever
// its place in the order and whatever becomes of the others, and says nothing about the server: it
// accepts all that it is sent.
func TestAlwaysChanging(t *testing.T) {
	for _, c := range []struct {
		name, file string
		others     int
		method     string
		slow       time.Duration // the answers to the others
		size       int64         // if 0, large
		key        bool
		unknown    int64
		requests   int
	}{
		{name: "last", file: "zz", others: 20, method: "PUT", requests: 4},
		{name: "first", file: "!", others: 20, method: "PUT", requests: 4},
		{name: "first, the others are slow", file: "!", others: 20, method: "PUT", slow: 10 * time.Second, requests: 4},
		{name: "alone", file: "zz", method: "PUT", requests: 4},
		{name: "small", file: "zz", others: 20, method: "PUT", size: 50 << 10, requests: 4},
		{name: "POST with a key", file: "zz", others: 5, method: "POST", key: true, requests: 4},
		{name: "POST", file: "zz", others: 5, method: "POST", unknown: 1, requests: 1},
		{name: "PATCH", file: "zz", method: "PATCH", unknown: 1, requests: 1},
	} {
		c.size = cmp.Or(c.size, large)
		t.Run(c.name, func(t *testing.T) {
			var name string
			var mu sync.Mutex // an attempt that was broken off may still be handled
			came := 0
			onFakeTime(t, c.others, func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/"+c.file {
					mu.Lock()
					came++
					if err := os.Truncate(name, c.size+int64(came)); err != nil {
						t.Error(err)
					}
					mu.Unlock()
				} else {
					time.Sleep(c.slow)
				}
				rw.WriteHeader(http.StatusCreated)
			}, func(w *world) {
				dir := w.TempDir()
				if c.others > 0 {
					dir = filepath.Dir(w.firstFile())
				}
				name = filepath.Join(dir, c.file)
				if err := errors.Join(write(name, nil), os.Truncate(name, c.size)); err != nil {
					t.Fatal(err)
				}
				w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{dir}, Method: c.method})
				w.Attempts, w.GiveUpAfter = 4, time.Second
				if c.key {
					w.Idempotency = resume.Idempotency{Header: "Idempotency-Key", Lifetime: time.Hour}
				}
				s := w.run()
				w.ended(s, exit.Items, int64(c.others), 1-c.unknown, c.unknown, 0, 0)
				mu.Lock()
				defer mu.Unlock()
				if came != c.requests {
					t.Errorf("%d requests, want %d", came, c.requests)
				}
				if text := errorsOf(s); !strings.Contains(text, body.ErrChanged.Error()) || strings.Contains(text, "nothing was accepted") {
					t.Errorf("it says %q", text)
				}
				if q := s.Requests; q.Spoiled != int64(c.requests) || q.Waste != math.Round(float64(c.requests)/float64(q.Sent)*1e4)/1e4 {
					t.Errorf("%+v", q)
				}
				if h := strings.Join(w.watch.holding(), "\n"); c.size < large && !strings.Contains(h, "1 file to be tried again: it changed while it was sent") {
					t.Errorf("it is held back by %s", h)
				}
			})
		})
	}
}

// A run that ends while a file is about to be sent again that changed has not left it: the server may have what it was.
func TestChangedWhenTheRunEnds(t *testing.T) {
	for _, key := range []bool{false, true} {
		var name string
		onFakeTime(t, 1, func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			time.Sleep(time.Millisecond) // by then the client has closed the body, and does not see the change before the answer
			if err := os.Truncate(name, large+time.Now().Unix()%large); err != nil {
				t.Error(err)
			}
			rw.WriteHeader(http.StatusCreated)
		}, func(w *world) {
			name = w.firstFile()
			if err := os.Truncate(name, large); err != nil {
				t.Fatal(err)
			}
			w.method(http.MethodPut)
			if key {
				w.method(http.MethodPost)
				w.Idempotency = resume.Idempotency{Header: "Idempotency-Key", Lifetime: time.Hour}
			}
			w.Attempts = 1000
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(time.Minute, func() { cancel(&exit.Signal{Signal: os.Interrupt}) })
			s := w.runUntil(context.Background(), ctx)
			w.ended(s, exit.Interrupted, 0, 1, 0, 0, 0)
			if g := s.Errors[0]; g.HTTPStatus != http.StatusCreated || !strings.Contains(g.Error, body.ErrChanged.Error()) {
				t.Errorf("%d, %q", g.HTTPStatus, g.Error)
			}
		})
	}
}
