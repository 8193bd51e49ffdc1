package send

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/source"
)

// sharing reads all bodies at so many bytes a second together, and answers that long after each.
func sharing(bandwidth float64, delay time.Duration) http.HandlerFunc {
	var mu sync.Mutex
	var next time.Time
	return func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(b)
			mu.Lock()
			if now := time.Now(); next.Before(now) {
				next = now
			}
			next = next.Add(time.Duration(float64(n) / bandwidth * float64(time.Second)))
			until := next
			mu.Unlock()
			time.Sleep(time.Until(until))
			if err == io.EOF {
				break
			}
			if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		time.Sleep(delay)
		w.WriteHeader(http.StatusCreated)
	}
}

// bucket takes so many requests a second, and asks those beyond them to wait.
func bucket(rate, burst float64, delay, wait time.Duration) http.HandlerFunc {
	var mu sync.Mutex
	tokens, last := burst, time.Time{}
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		now := time.Now()
		if !last.IsZero() {
			tokens = min(burst, tokens+now.Sub(last).Seconds()*rate)
		}
		last = now
		ok := tokens >= 1
		if ok {
			tokens--
		}
		mu.Unlock()
		time.Sleep(delay)
		if !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// The bytes of a file count as they arrive, and not once more when it ends.
func TestRateOfBytes(t *testing.T) {
	const bandwidth = 5 << 20
	for _, c := range []etaCase{
		{name: "equal files", sizes: files(5, 20<<20), serve: sharing(bandwidth, 0)},
		{name: "with a journal", sizes: files(5, 20<<20), serve: sharing(bandwidth, 0), journal: true},
		{name: "one at a time", sizes: files(8, 10<<20), serve: sharing(bandwidth, 0), journal: true},
		{name: "files that are followed, and others", sizes: append(files(4, 20<<20), files(60, 500<<10)...), serve: sharing(bandwidth, 0), journal: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen, _ := c.run(t)
			end := seen[len(seen)-1].Elapsed
			for _, s := range seen {
				if s.Elapsed < 3*time.Second || s.Elapsed > end-time.Second {
					continue
				}
				if off := math.Abs(s.BytesPerSecond/bandwidth - 1); off > 0.2 {
					t.Fatalf("after %v: %.1f MiB/s, the server reads 5.0; %d of %d files", s.Elapsed, s.BytesPerSecond/(1<<20), s.Delivered, s.Total)
				}
			}
		})
	}
}

// A failing is a body that cannot be read any more while down is true.
type failing struct {
	io.ReadCloser
	down *atomic.Bool
}

func (f failing) Read(p []byte) (int, error) {
	if f.down.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return f.ReadCloser.Read(p)
}

// In an outage there are no rates. When a server takes the bytes of a large file again it is not said to be down, and the
// outage lasted until then, not until the file was accepted.
func TestOutageOfLargeFiles(t *testing.T) {
	const bandwidth = 2 << 20
	var down atomic.Bool
	serve := sharing(bandwidth, 0)
	onFakeTime(t, 0, func(w http.ResponseWriter, r *http.Request) {
		r.Body = failing{r.Body, &down}
		serve(w, r)
	}, func(w *world) {
		dir := w.TempDir()
		for _, name := range []string{"a", "b", "c", "d"} {
			if err := errors.Join(os.WriteFile(filepath.Join(dir, name), nil, 0o600), os.Truncate(filepath.Join(dir, name), 20<<20)); err != nil {
				w.Fatal(err)
			}
		}
		w.from("http://127.0.0.1/{path}", source.Options{Paths: []string{dir}})
		w.Limits.InFlight = 1
		const begins, ends = 15 * time.Second, 35 * time.Second
		time.AfterFunc(begins, func() { down.Store(true); w.net.Refuse(true) })
		time.AfterFunc(ends, func() { down.Store(false); w.net.Refuse(false) })
		w.ended(w.run(), exit.Delivered, 4, 0, 0, 0, 0)
		var bytes int64
		for _, s := range w.watch.snapshots {
			if s.Elapsed > begins+4*time.Second && s.Elapsed < ends && (s.BytesPerSecond != 0 || s.FilesPerSecond != 0) {
				w.Fatalf("after %v: %g bytes, %g files a second", s.Elapsed, s.BytesPerSecond, s.FilesPerSecond)
			}
			if s.Elapsed > ends && s.Bytes > bytes+1<<16 && bytes > 0 && (strings.Contains(s.Holding, "server down") || s.BytesPerSecond == 0) {
				w.Fatalf("after %v: %q, at %g bytes a second", s.Elapsed, s.Holding, s.BytesPerSecond)
			}
			bytes = s.Bytes
		}
		if holding := w.watch.holding(); !slices.ContainsFunc(holding, func(s string) bool { return strings.HasPrefix(s, "reached again: sending one file to try it") }) {
			w.Errorf("%q", holding)
		}
		talk := w.watch.talk.String()
		_, last, _ := strings.Cut(talk, "answers again; it was down for ")
		if last, _, _ = strings.Cut(last, " s"); !slices.Contains([]string{"20", "21", "22", "23", "24", "25"}, last) {
			w.Errorf("down for %q s\n%s", last, talk)
		}
	})
}
