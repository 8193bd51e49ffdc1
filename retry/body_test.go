package retry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/filebody"
	"github.com/penstock/penstock/internal/memnet"
)

var quietLog = log.New(io.Discard, "", 0)

// file writes a file that is a day old, so that its time changes with the next write.
func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.bin")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(path, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	return path
}

func fileRequest(t testing.TB, method, url, path string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := SetFileBody(req, path); err != nil {
		t.Fatal(err)
	}
	return req
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

// With one handle for all tries, a try that is still reading and the next one pull the rug from
// under each other, and uploads arrive short with a 200.
func TestUploadsArriveWhole(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 64<<10)
	path := file(t, content)
	before := openFiles(t)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		whole, early := 0, 0
		c := real(t, exact, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			check(t, "length told", r.ContentLength, int64(len(content)))
			mu.Lock()
			early++
			refuse := early%3 != 0
			mu.Unlock()
			if refuse { // while the body is still on its way
				io.CopyN(io.Discard, r.Body, 100<<10)
				w.WriteHeader(503)
				http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
				return
			}
			var b strings.Builder
			for { // slowly
				if _, err := io.CopyN(&b, r.Body, 200<<10); err != nil {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if b.String() == content {
				mu.Lock()
				whole++
				mu.Unlock()
			}
		}))
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				resp, err := c.Do(fileRequest(t, "PUT", "http://h.example/", path))
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			})
		}
		wg.Wait()
		check(t, "whole uploads", whole, 12)
	})
	if after := openFiles(t); after > before {
		t.Errorf("%d files were left open", after-before)
	}
}

// Small files share buffers, one after the other. A server that answers before it has read all
// leaves net/http writing from one while the next try begins.
func TestSmallFilesKeepApart(t *testing.T) {
	const files, size = 24, filebody.MaxSmall - 1
	var paths []string
	for i := range files {
		paths = append(paths, file(t, strings.Repeat(string(rune('a'+i)), size)))
	}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked, whole := 0, 0
		c := real(t, exact, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked++
			way := asked % 5
			mu.Unlock()
			switch way {
			case 0:
				w.WriteHeader(503)
				http.NewResponseController(w).Flush()
			case 1:
				http.Redirect(w, r, r.URL.Path+"again", http.StatusTemporaryRedirect)
				http.NewResponseController(w).Flush()
			case 2:
				panic(http.ErrAbortHandler)
			}
			body, err := io.ReadAll(r.Body)
			if other := strings.Trim(string(body), r.URL.Path[1:2]); other != "" {
				t.Errorf("%s: there is %q in it", r.URL.Path, other[:1])
			}
			if way > 2 && err == nil && len(body) == size {
				mu.Lock()
				whole++
				mu.Unlock()
			}
		}))
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for i := worker; i < files; i += 4 {
					r := end(t, c, fileRequest(t, "PUT", "http://h.example/"+string(rune('a'+i)),
						paths[i]))
					check(t, "outcome", r.Outcome, Delivered)
				}
			})
		}
		wg.Wait()
		check(t, "whole uploads", whole, files)
	})
}

func TestFileThatChanges(t *testing.T) {
	grow := func(path string) {
		f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		f.WriteString("more")
		f.Close()
	}
	ways := map[string]func(path string){
		"grows": grow,
		"cut":   func(path string) { os.Truncate(path, 3) },
		"same length": func(path string) {
			f, _ := os.OpenFile(path, os.O_WRONLY, 0)
			f.WriteString("X")
			f.Close()
		},
		"replaced": func(path string) {
			os.WriteFile(path+".new", []byte(strings.Repeat("y", 300<<10)), 0o600)
			os.Rename(path+".new", path)
		},
	}
	ways["taken away"] = func(path string) { os.Remove(path) }
	for name, change := range ways {
		for _, when := range []string{"before it is sent", "while it is sent", "after it was read",
			"between tries"} {
			for _, size := range []int{100, 300 << 10} {
				if name == "taken away" && when == "between tries" {
					continue // then it cannot be opened, which the error says
				}
				for _, method := range []string{"PUT", "POST"} {
					t.Run(fmt.Sprint(method, " ", name, " ", when, " ", size),
						func(t *testing.T) { testFileThatChanges(t, method, change, when, size) })
				}
			}
		}
	}
}

func testFileThatChanges(t *testing.T, method string, change func(path string), when string,
	size int) {
	path := file(t, strings.Repeat("x", size))
	synctest.Test(t, func(t *testing.T) {
		c := real(t, exact, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if when == "while it is sent" {
				io.CopyN(io.Discard, r.Body, 1)
				change(path)
			}
			io.Copy(io.Discard, r.Body)
			if when == "after it was read" {
				change(path)
			}
			if when == "between tries" {
				w.WriteHeader(503)
			}
		}))
		c.Observe = func(e Event) {
			if e.Kind == EventWaiting {
				change(path)
			}
		}
		req := fileRequest(t, method, "http://h.example/", path)
		if when == "before it is sent" {
			change(path)
		}
		resp, err := c.Do(req)
		r := OutcomeOf(resp, err)
		if resp != nil || !errors.Is(err, ErrFileChanged) || r.Attempts != 1 {
			t.Errorf("%v: %+v", err, r)
		}
		may := r.Status == 200 || strings.HasPrefix(when, "while") ||
			strings.HasPrefix(when, "after")
		want := Failed
		if may && method == "POST" {
			want = Unknown // the server has it, or some of it
		}
		check(t, "outcome", r.Outcome, want)
		check(t, "uncertain", r.Uncertain, may)
	})
}

func TestEmptyFileThatGrows(t *testing.T) {
	path := file(t, "")
	synctest.Test(t, func(t *testing.T) {
		c := real(t, exact, http.HandlerFunc(func(http.ResponseWriter,
			*http.Request) {
			os.WriteFile(path, []byte("x"), 0o600)
		}))
		_, err := c.Do(fileRequest(t, "PUT", "http://h.example/", path))
		if !errors.Is(err, ErrFileChanged) {
			t.Error(err)
		}
	})
}

func TestEmptyFile(t *testing.T) {
	path := file(t, "")
	for _, method := range []string{"PUT", "POST", "PATCH"} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			c, _ := wireServer(t, exact, func(_ int, conn *memnet.Conn, r *textproto.Reader) {
				for {
					_, h, err := head(r)
					if err != nil {
						return
					}
					if h["Content-Length"] == nil || h.Get("Content-Length") != "0" ||
						h["Transfer-Encoding"] != nil {
						t.Errorf("%s: %v", method, h)
					}
					if tries++; tries == 1 {
						io.WriteString(conn, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
						continue
					}
					io.WriteString(conn, ok)
				}
			})
			check(t, "outcome", end(t, c,
				fileRequest(t, method, "http://h.example/", path)).Outcome, Delivered)
			check(t, "tries", tries, 2)
		})
	}
}

func TestWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	paths := map[string]string{dir: "a directory", filepath.Join(dir, "none"): "no such file",
		os.DevNull: "a device"}
	if mkfifo(fifo) {
		paths[fifo] = "a device, pipe or socket"
	}
	for path, want := range paths {
		req := request(t, "PUT", "")
		err := SetFileBody(req, path)
		if err == nil || req.Body != nil || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), "retry: body: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	req := request(t, "PUT", "x")
	closed := false
	req.Body = closer{req.Body, func() { closed = true }}
	if err := SetFileBody(req, file(t, "data")); err != nil || !closed {
		t.Errorf("%v, closed %v", err, closed)
	}
	req.Body.Close()
	if err := req.Body.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// package net sends what is a syscall.Conn by sendfile. A field or method that hides the file's
// would cost several times the CPU.
func TestFileBodyIsFitForSendfile(t *testing.T) {
	path := file(t, strings.Repeat("x", 1<<20))
	req := fileRequest(t, "PUT", "http://h.example/", path)
	defer req.Body.Close()
	if _, ok := req.Body.(syscall.Conn); !ok {
		t.Errorf("%T is no syscall.Conn", req.Body)
	}
	// under strace, to see the calls
	if runtime.GOOS != "linux" || os.Getenv("PENSTOCK_SENDFILE") == "" {
		return
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))
	defer srv.Close()
	c := &Client{HTTP: srv.Client()}
	resp, err := c.Do(fileRequest(t, "PUT", srv.URL, path))
	check(t, "outcome", OutcomeOf(resp, err).Outcome, Delivered)
}

// Each body that GetBody opened is closed, where there is nothing in it as well.
func TestEmptyBodyIsClosed(t *testing.T) {
	opened, closed := 0, 0
	req := request(t, "PUT", "")
	req.Body = http.NoBody
	req.GetBody = func() (io.ReadCloser, error) {
		opened++
		return struct {
			io.Reader
			io.Closer
		}{http.NoBody, closerFunc(func() { closed++ })}, nil
	}
	c, _ := over(play(try{status: 200}), exact)
	check(t, "outcome", end(t, c, req).Outcome, Delivered)
	if opened == 0 || closed != opened {
		t.Errorf("%d opened, %d closed", opened, closed)
	}
}

type closerFunc func()

func (f closerFunc) Close() error { f(); return nil }

// A file is open while it is sent, and not while its request waits for its turn.
func TestFileBodyOpensLate(t *testing.T) {
	fds := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	name := filepath.Join(t.TempDir(), "f.bin")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	before := fds()
	var requests []*http.Request
	for range 100 {
		req := request(t, "PUT", "")
		if err := SetFileBody(req, name); err != nil {
			t.Fatal(err)
		}
		requests = append(requests, req)
	}
	if n := fds() - before; n > 10 {
		t.Errorf("100 requests hold %d files open", n)
	}
	for i, req := range requests {
		if i%2 == 0 {
			if n, err := io.Copy(io.Discard, req.Body); n != 100<<10 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := req.Body.Close(); err != nil {
			t.Error(err)
		}
		if _, err := req.Body.Read(make([]byte, 1)); err == nil {
			t.Error("it can be read after Close")
		}
	}
	if n := fds() - before; n > 10 {
		t.Errorf("%d files are open after Close", n)
	}
}

// A file that cannot be opened when its turn comes fails its request, of which nothing was sent.
func TestFileBodyThatCannotBeOpened(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f.bin")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	req := request(t, "POST", "")
	if err := SetFileBody(req, name); err != nil {
		t.Fatal(err)
	}
	// which even root cannot open
	if err := errors.Join(os.Remove(name), os.Symlink(name, name)); err != nil {
		t.Skip(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		io.Copy(io.Discard, r.Body)
	}))
	defer server.Close()
	req.URL, _ = url.Parse(server.URL)
	r := end(t, &Client{}, req)
	if r.Outcome != Failed || !errors.Is(r.Err, syscall.ELOOP) {
		t.Errorf("%+v", r)
	}
}
