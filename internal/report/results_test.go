package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// log collects writes with their instants.
type log struct {
	mu     sync.Mutex
	start  time.Time
	writes []string
	at     []time.Duration
}

func newLog() *log { return &log{start: time.Now()} }

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes = append(l.writes, string(b))
	l.at = append(l.at, time.Since(l.start))
	return len(b), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.writes, "")
}

func TestResultsLine(t *testing.T) {
	var b bytes.Buffer
	r := NewResults(&b)
	if err := r.Write(Item{
		Path: "data/a&b <é>.csv", Rel: "a&b <é>.csv", URL: "https://h/files/a?k=***&l=***", Method: "PUT", Key: "k1", Status: Failed, HTTPStatus: 400,
		Attempts: 2, Bytes: 4096, Seconds: 1.25, Error: "bad\nline \x1b",
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(Item{Path: "b", Status: Skipped}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	golden(t, "results.ndjson", b.String())
}

func TestResultsFlushEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		r := NewResults(l)
		// Items at 0, 0.3, …, 2.7 s; then silence; then one at 10 s.
		for range 10 {
			_ = r.Write(Item{Path: "x"})
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(7 * time.Second)
		_ = r.Write(Item{Path: "last"})
		time.Sleep(400 * time.Millisecond)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		// Each flush a second after the first line that waits: 0, 1.2, 2.4, 10 (closed before).
		want := "[1s 2.2s 3.4s 10.4s]"
		if got := fmt.Sprint(l.at); got != want {
			t.Errorf("written at %s, want %s", got, want)
		}
		for i, n := range []int{4, 4, 2, 1} {
			if got := strings.Count(l.writes[i], "\n"); got != n || !strings.HasSuffix(l.writes[i], "\n") {
				t.Errorf("write %d has %d lines, want %d", i, got, n)
			}
		}
		time.Sleep(time.Minute)
		if len(l.at) != 4 {
			t.Error("written after Close")
		}
	})
}

func TestResultsWriteWholeLines(t *testing.T) {
	l := newLog()
	r := NewResults(l)
	for range 3000 {
		_ = r.Write(Item{Path: strings.Repeat("p", 100), Status: Delivered})
	}
	_ = r.Close()
	if len(l.writes) < 5 {
		t.Errorf("only %d writes for half a megabyte", len(l.writes))
	}
	for _, w := range l.writes {
		if !strings.HasSuffix(w, "}\n") || !strings.HasPrefix(w, "{") {
			t.Fatalf("a write is not whole lines: %q … %q", w[:20], w[len(w)-20:])
		}
	}
}

func TestResultsConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.ndjson")
	r, err := CreateResults(path)
	if err != nil {
		t.Fatal(err)
	}
	const workers, each = 16, 300
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				if err := r.Write(Item{Path: fmt.Sprintf("%d/%d", w, i), Status: Delivered}); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					_ = r.Flush()
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(Item{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a write after Close gives %v", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string]bool{}
	for dec := json.NewDecoder(f); ; {
		var row line
		if err := dec.Decode(&row); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if row.Type != "item" || seen[row.Path] {
			t.Fatalf("row %+v", row)
		}
		seen[row.Path] = true
	}
	if len(seen) != workers*each {
		t.Errorf("%d rows, want %d", len(seen), workers*each)
	}
}

type full struct{ writes int }

func (f *full) Write([]byte) (int, error) { f.writes++; return 0, errors.New("disk full") }

func TestResultsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &full{}
		r := NewResults(w)
		if err := r.Write(Item{Seconds: math.NaN()}); err == nil {
			t.Error("a NaN was written")
		}
		if err := r.Write(Item{}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		err := r.Write(Item{})
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("a second later the error is %v", err)
		}
		if cerr := r.Close(); cerr != err {
			t.Errorf("Close gives %v, want %v", cerr, err)
		}
		if w.writes != 1 {
			t.Errorf("%d writes: one after an error could leave a hole", w.writes)
		}
	})
	if _, err := CreateResults(filepath.Join(t.TempDir(), "no", "such")); err == nil || !strings.HasPrefix(err.Error(), "report: ") {
		t.Errorf("got error %v", err)
	}
}

func BenchmarkResults(b *testing.B) {
	b.ReportAllocs()
	r := NewResults(io.Discard)
	it := Item{Path: "data/2026/03/a.csv", URL: "https://h/files/a.csv", Status: Delivered, HTTPStatus: 201, Attempts: 1, Bytes: 4096, Seconds: 0.0384}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = r.Write(it)
		}
	})
	_ = r.Close()
}
