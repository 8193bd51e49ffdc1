package send

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/test"
)

// [changed] A file is opened when its request's turn has come, whatever happened to it before: the
// length, digest, key and the journal's fingerprint are those of what was opened.
func TestOpenedWhenItsTurnComes(t *testing.T) {
	replace := func(name string, content []byte) error {
		return errors.Join(os.WriteFile(name+".new", content, 0o600), os.Rename(name+".new", name))
	}
	for i, c := range []struct {
		name   string
		method string
		size   int
		change func(name string, content []byte) error
		form   bool
		digest bool
		key    bool
	}{
		{name: "small, replaced", method: "PUT", size: 100, change: replace},
		{name: "small, touched", method: "PUT", size: 100, change: touch},
		{name: "small, written to", method: "PUT", size: 100, change: write},
		{name: "large, replaced", method: "PUT", size: 50 << 10, change: replace},
		{name: "large, written to", method: "PUT", size: 50 << 10, change: write},
		{name: "grows large", method: "PUT", size: 10 << 10, change: grow},
		{name: "was empty", method: "PUT", size: 0, change: grow},
		{name: "is emptied", method: "PUT", size: 100,
			change: func(name string, _ []byte) error { return os.Truncate(name, 0) }},
		{name: "POST, replaced", method: "POST", size: 100, change: replace},
		{name: "POST, touched", method: "POST", size: 100, change: touch},
		{name: "POST with a key", method: "POST", size: 100, change: replace, key: true},
		{name: "digest", method: "PUT", size: 100, change: replace, digest: true},
		{name: "digest, large", method: "PUT", size: 50 << 10, change: grow, digest: true},
		{name: "form", method: "POST", size: 100, change: replace, form: true, digest: true},
		{name: "form, large", method: "POST", size: 50 << 10, change: replace, form: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, i)
			t.Parallel()
			const files = 60
			var mu sync.Mutex
			got := map[string]int{}
			seen := map[string]bool{}
			alike := func(b []byte) bool {
				return len(b) == 0 || len(bytes.Trim(b, string(b[:1]))) == 0
			}
			onFakeTime(t, 0, func(rw http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				test.Check(t, err)
				if c.digest && r.Header.Get("Content-Digest") != digest.Field(sha256.Sum256(body)) {
					t.Errorf("%s: not the digest of what came", r.URL.Path)
				}
				if c.form {
					_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
					form, err := multipart.NewReader(bytes.NewReader(body),
						params["boundary"]).ReadForm(1 << 20)
					test.OK(t, err)
					f, err := form.File["f"][0].Open()
					test.OK(t, err)
					body, _ = io.ReadAll(f)
				}
				if !alike(body) {
					t.Errorf("%s: a mix", r.URL.Path)
				}
				mu.Lock()
				got[r.URL.Path]++
				seen[r.Header.Get("Idempotency-Key")] = true
				mu.Unlock()
				time.Sleep(300 * time.Millisecond)
				rw.WriteHeader(http.StatusCreated)
			}, func(w *world) {
				dir := w.TempDir()
				for i := range files {
					name := filepath.Join(dir, string(rune('a'+i/26))+string(rune('a'+i%26)))
					test.OK(w, os.WriteFile(name, bytes.Repeat([]byte("a"), c.size),
						0o600))
					test.OK(w, os.Chtimes(name, w.begin, w.begin))
				}
				w.from("http://127.0.0.1/{path}",
					source.Options{Paths: []string{dir}, Method: c.method,
						Body: formOf(t, c.form)})
				w.Limits.Rate = 6
				w.Digest = c.digest
				if c.key {
					w.Idempotency = keys
				}
				w.journal(w.db)
				change := time.AfterFunc(2050*time.Millisecond, func() {
					for i := range files {
						name := filepath.Join(dir, string(rune('a'+i/26))+string(rune('a'+i%26)))
						test.Check(t, c.change(name, bytes.Repeat([]byte("b"), c.size)))
						test.Check(t, os.Chtimes(name, w.begin, w.begin.Add(time.Minute)))
					}
				})
				defer change.Stop()
				s := w.run()
				w.ended(s, exit.Delivered, files, 0, 0, 0, 0)
				before := 0
				for path, n := range got {
					if n != 1 && c.method == "POST" {
						t.Errorf("%s came %d times", path, n)
					}
					before += n
				}
				if c.key && len(seen) != before {
					t.Errorf("%d keys for %d requests", len(seen), before)
				}

				// The journal has what was sent: the next run sends those whose content came before
				// the change, and no others.
				early := int(2*6) + 1
				w.from("http://127.0.0.1/{path}",
					source.Options{Paths: []string{dir}, Method: c.method,
						Body: formOf(t, c.form)})
				s = w.journaled()
				if n := s.Items.Delivered; n < 10 || n > int64(early) ||
					n+s.Items.Skipped != files {
					t.Errorf("the next run: %+v", s.Items)
				}
			})
		})
	}
}

// A file that is written to while it is sent fails that attempt. The next one sends the new
// content, unless the server may have accepted the first.
func TestChangedWhileSent(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		change func(name string) error
		form   bool
		unknown,
		requests int64
	}{
		{"PUT, written to", "PUT", func(name string) error {
			return write(name, bytes.Repeat([]byte("b"), 8<<20))
		}, false, 0, 2},
		{"PUT, grows", "PUT", func(name string) error { return grow(name, nil) }, false, 0, 2},
		{"PUT, cut short", "PUT", func(name string) error { return os.Truncate(name, 100) },
			false, 0, 2},
		{"PUT, replaced", "PUT", func(name string) error {
			return errors.Join(write(name+".new", []byte("b")), os.Rename(name+".new", name))
		}, false, 0, 1},
		{"PUT, removed", "PUT", os.Remove, false, 0, 1},
		{"POST, written to", "POST", func(name string) error {
			return write(name, bytes.Repeat([]byte("b"), 8<<20))
		}, false, 1, 1},
		{"form by PUT, written to", "PUT", func(name string) error {
			return write(name, bytes.Repeat([]byte("b"), 8<<20))
		}, true, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var name string
			requests := int64(0)
			onFakeTime(t, 0, func(rw http.ResponseWriter, r *http.Request) {
				if requests++; requests == 1 {
					io.CopyN(io.Discard, r.Body, 1<<20)
					time.Sleep(time.Second) // what was sent meanwhile fills the buffers
					test.Check(t, c.change(name))
				}
				body, err := io.ReadAll(r.Body)
				if err == nil && requests > 1 && !c.form &&
					len(bytes.Trim(body, string(body[:1]))) > 0 {
					t.Error("a mix")
				}
				rw.WriteHeader(http.StatusCreated)
			}, func(w *world) {
				name = filepath.Join(w.TempDir(), "f")
				test.OK(t, errors.Join(write(name, bytes.Repeat([]byte("a"), 8<<20)),
					os.Chtimes(name, w.begin, w.begin)))
				w.from("http://127.0.0.1/x/{path}",
					source.Options{Paths: []string{name}, Method: c.method,
						Body: formOf(t, c.form)})
				s := w.run()
				status := exit.Delivered
				if c.unknown > 0 {
					status = exit.Items
				}
				w.ended(s, status, 1-c.unknown, 0, c.unknown, 0, 0)
				if requests != c.requests {
					t.Errorf("%d requests, want %d", requests, c.requests)
				}
			})
		})
	}
}

// [unreadable] A file that is gone when its turn comes fails, and says so; the others are sent.
func TestGoneWhenItsTurnComes(t *testing.T) {
	onFakeTime(t, 10, atOnce, func(w *world) {
		w.Limits.Rate = 1
		var last string
		for it := range w.Source.Items() {
			last = it.Path
		}
		defer time.AfterFunc(5500*time.Millisecond, func() { os.Remove(last) }).Stop()
		s := w.run()
		w.ended(s, exit.Items, 9, 1, 0, 0, 0)
		w.says(s, "no such file")
	})
}

func write(name string, content []byte) error { return os.WriteFile(name, content, 0o600) }
func touch(string, []byte) error              { return nil } // the date is changed anyway
func grow(name string, _ []byte) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Repeat("a", 40<<10))
	return errors.Join(err, f.Close())
}

// A large file is opened when its connection is there. That it was replaced since its turn came
// costs an attempt, and a POST none that may have been accepted: nothing of it was sent.
func TestReplacedWhileConnecting(t *testing.T) {
	for _, form := range []bool{false, true} {
		for _, gone := range []bool{false, true} {
			var name string
			var bodies []string
			onFakeTime(t, 0, func(rw http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err == nil {
					bodies = append(bodies, string(body))
				}
				rw.WriteHeader(http.StatusCreated)
			}, func(w *world) {
				name = filepath.Join(w.TempDir(), "f")
				test.OK(t, write(name, bytes.Repeat([]byte("a"), 50<<10)))
				w.from("http://127.0.0.1/x", source.Options{Paths: []string{name},
					Body: formOf(t, form)})
				var once sync.Once
				w.Network.Dial = func(ctx context.Context, network, address string) (net.Conn,
					error) {
					once.Do(func() {
						err := os.Remove(name)
						if !gone {
							err = write(name, bytes.Repeat([]byte("b"), 60<<10))
						}
						test.Check(t, err)
					})
					return w.net.DialContext(ctx, network, address)
				}
				s := w.run()
				if gone {
					w.ended(s, exit.Items, 0, 1, 0, 0, 0)
					if text := errorsOf(s); !strings.Contains(text, "no such file") ||
						len(bodies) > 0 {
						t.Errorf("%s, %d bodies", text, len(bodies))
					}
					return
				}
				w.ended(s, exit.Delivered, 1, 0, 0, 0, 0)
				if len(bodies) != 1 || strings.Count(bodies[0], "b") < 60<<10 ||
					s.Requests.Sent != 2 {
					t.Errorf("%d bodies came, by %d requests", len(bodies), s.Requests.Sent)
				}
			})
		}
	}
}

// net/http sends a request that may be repeated once more by itself, if a kept connection ends
// before the answer. Its form is made anew then, from its file.
func TestFormIsSentAgain(t *testing.T) {
	n, arrived := 0, make(map[string]int)
	onFakeTime(t, 3, func(w http.ResponseWriter, r *http.Request) {
		if n++; n == 2 || n == 4 {
			panic(http.ErrAbortHandler)
		}
		file, _, err := r.FormFile("f")
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(file)
		test.Check(t, err)
		arrived[string(body)]++
		w.WriteHeader(http.StatusCreated)
	}, func(w *world) {
		w.Limits.InFlight = 1
		w.Idempotency = keys
		dir := filepath.Dir(w.firstFile())
		want := make(map[string]int)
		// the last one is not read into memory
		for i, size := range []int{100, 15 << 10, 100 << 10} {
			text := strings.Repeat(string(rune('a'+i)), size)
			want[text]++
			test.OK(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d", i)), []byte(text),
				0o600))
		}
		w.from("http://127.0.0.1/", source.Options{Paths: []string{dir}, Body: formOf(t, true)})
		w.ended(w.run(), exit.Delivered, 3, 0, 0, 0, 0)
		if !maps.Equal(arrived, want) {
			t.Errorf("%d forms arrived, want %d", len(arrived), len(want))
		}
	})
}

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
		{name: "first, the others are slow", file: "!", others: 20, method: "PUT",
			slow: 10 * time.Second, requests: 4},
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
					test.Check(t, os.Truncate(name, c.size+int64(came)))
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
				test.OK(t, errors.Join(write(name, nil), os.Truncate(name, c.size)))
				w.from("http://127.0.0.1/{path}",
					source.Options{Paths: []string{dir}, Method: c.method})
				w.Attempts, w.GiveUpAfter = 4, time.Second
				if c.key {
					w.Idempotency = keys
				}
				s := w.run()
				w.ended(s, exit.Items, int64(c.others), 1-c.unknown, c.unknown, 0, 0)
				mu.Lock()
				defer mu.Unlock()
				if came != c.requests {
					t.Errorf("%d requests, want %d", came, c.requests)
				}
				w.says(s, body.ErrChanged.Error())
				if text := errorsOf(s); strings.Contains(text, "nothing was accepted") {
					t.Errorf("it says %q", text)
				}
				if q := s.Requests; q.Spoiled != int64(c.requests) ||
					q.Waste != math.Round(float64(c.requests)/float64(q.Sent)*1e4)/1e4 {
					t.Errorf("%+v", q)
				}
				if h := strings.Join(w.watch.holding(), "\n"); c.size < large &&
					!strings.Contains(h, "1 file to be tried again: it changed while it was sent") {
					t.Errorf("it is held back by %s", h)
				}
			})
		})
	}
}

// A run that ends while a file is about to be sent again that changed has not left it: the server
// may have what it was.
func TestChangedWhenTheRunEnds(t *testing.T) {
	for _, key := range []bool{false, true} {
		var name string
		onFakeTime(t, 1, func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			// by then the client has closed the body, and does not see the change before the answer
			time.Sleep(time.Millisecond)
			test.Check(t, os.Truncate(name, large+time.Now().Unix()%large))
			rw.WriteHeader(http.StatusCreated)
		}, func(w *world) {
			name = w.firstFile()
			test.OK(t, os.Truncate(name, large))
			w.method(http.MethodPut)
			if key {
				w.method(http.MethodPost)
				w.Idempotency = keys
			}
			w.Attempts = 1000
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(time.Minute, func() { cancel(&exit.Signal{Signal: os.Interrupt}) })
			s := w.runUntil(context.Background(), ctx)
			w.ended(s, exit.Interrupted, 0, 1, 0, 0, 0)
			if g := s.Errors[0]; g.HTTPStatus != http.StatusCreated ||
				!strings.Contains(g.Error, body.ErrChanged.Error()) {
				t.Errorf("%d, %q", g.HTTPStatus, g.Error)
			}
		})
	}
}

// A file that changes between the scan and its turn is sent once, with its new content.
func TestChangedBeforeItsTurn(t *testing.T) {
	onFakeTime(t, 1, atOnce, func(w *world) {
		w.method("POST")
		w.Idempotency = keys
		first := w.firstFile()
		test.OK(w, os.WriteFile(first, []byte("longer"), 0o600))
		test.OK(w, os.Chtimes(first, time.Time{}, time.Now().Add(time.Hour)))
		w.items(w.journaled(), report.ItemCounts{Total: 1, Delivered: 1})
		w.method("POST") // scans again
		sum := w.journaled()
		w.items(sum, report.ItemCounts{Total: 1, Skipped: 1})
		if w.asks() != 1 {
			w.Errorf("%d requests", w.asks())
		}
	})
}

// While a file that grows is sent again and again, that is what is said to be the reason.
func TestGrowingFileIsNamed(t *testing.T) {
	var name string
	n := 0
	onFakeTime(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		// by then the client has closed the body: no request is broken off while this one is
		// handled
		time.Sleep(time.Millisecond)
		if n++; n <= 3 {
			test.Check(t, os.Truncate(name, large+int64(n)))
		}
	}, func(w *world) {
		name = w.firstFile()
		test.OK(t, os.Truncate(name, large))
		w.method(http.MethodPut) // scans again
		s := w.run()
		w.ended(s, exit.Delivered, 1, 0, 0, 0, 0)
		if words := "1 file to be tried again; 00000 is sent again from its beginning (the file " +
			"changed while it was sent)"; !slices.Contains(w.watch.holding(), words) {
			t.Errorf("it says %q", w.watch.holding())
		}
	})
}

// A file that cannot be sent is a failed item; those after it are sent.
func TestItemErrors(t *testing.T) {
	onFakeTime(t, 3, atOnce, func(w *world) {
		list := w.firstFile() + "\nnosuch\n" + filepath.Dir(w.firstFile()) + "\n" +
			strings.TrimSuffix(w.firstFile(), "0") + "1\n"
		w.from(w.To, source.Options{Paths: []string{"-"}, Stdin: strings.NewReader(list)})
		s := w.run()
		w.ended(s, exit.Items, 2, 2, 0, 0, 0)
		w.says(s, "failed: no such file or directory\n", "failed: is a directory; ")
	})
}

// What the disk loses between two attempts is not a short upload.
func TestFileVanishesBetweenAttempts(t *testing.T) {
	var file string
	var n atomic.Int64
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		_ = os.Remove(file)
		w.WriteHeader(http.StatusServiceUnavailable)
	}, func(w *world) {
		file = w.firstFile()
		s := w.run()
		w.ended(s, exit.Items, 0, 1, 0, 0, 0)
		if n.Load() != 1 {
			t.Errorf("%d requests: %s", n.Load(), errorsOf(s))
		}
	})
}

// Files that go between being found and being sent are not passed over.
func TestFilesAreGone(t *testing.T) {
	const found, gone = 50, 20
	var dir string
	onFakeTime(t, found, atOnce, func(w *world) {
		dir = filepath.Dir(w.firstFile())
		for i := range gone {
			test.OK(t, os.Remove(filepath.Join(dir, fmt.Sprintf("%05d", found-1-i))))
		}
		s := w.run()
		w.ended(s, exit.Items, found-gone, gone, 0, 0, 0)
		w.says(s, "no such file")
	})
}

// On a TCP connection net/http wraps the error of a file in one of the connection, with both
// addresses.
func TestFileErrorsHaveNoPrefix(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(atOnce))
	defer server.Close()
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	test.OK(t, write(name, make([]byte, 100<<10)))
	var watch watcher
	o := Options{Progress: &watch, Log: slog.New(slog.NewTextHandler(&watch,
		&slog.HandlerOptions{Level: slog.LevelDebug}))}
	o.To = server.URL + "/{path}"
	o.Network.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		_ = os.Remove(name)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	w := &world{T: t, Options: o}
	w.from(o.To, source.Options{Paths: []string{dir}})
	s := Run(t.Context(), t.Context(), w.Options)
	w.ended(s, exit.Items, 0, 1, 0, 0, 0)
	if got := errorsOf(s); got != "failed: the file cannot be read: no such file or directory\n" {
		t.Errorf("it says %q", got)
	}
	if q := s.Requests; q.Spoiled != 1 || q.NoAnswer[body.ErrMoved.Error()] != 1 {
		t.Errorf("%+v", q)
	}
	if strings.Contains(watch.talk.String(), "readfrom") {
		t.Errorf("the log says %s", watch.talk.String())
	}
}
