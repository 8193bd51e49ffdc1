package results

import (
	"bufio"
	"bytes"
	"context"
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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/golden"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/test"
)

func TestResultsLine(t *testing.T) {
	var b bytes.Buffer
	r := NewWriter(&b)
	if err := r.Write(Result{
		Time: time.Date(2026, 3, 1, 1, 2, 3, 40_999_000, time.FixedZone("", 3600)),
		Path: "data/a&b <é>.csv", Rel: "a&b <é>.csv", URL: "https://h/files/a?k=***&l=***",
		Method: "PUT", Key: "k1", Status: item.Failed, HTTPStatus: 400,
		Attempts: 2, Bytes: 4096, Seconds: 1.25, Error: "bad\nline \x1b",
	}); err != nil {
		t.Fatal(err)
	}
	test.OK(t, r.Write(Result{Path: "b", Status: item.Skipped}))
	test.OK(t, r.Write(Result{Path: "c", Status: item.Skipped, Captured: `{"id":"<7>"}`,
		DeliveredAt: time.Date(2026, 3, 1, 1, 2, 3, 40_999_000, time.UTC)}))
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "results.ndjson", b.String())
}

func TestResultsFlushEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := golden.NewLog()
		r := newWriter(l)
		// Items at 0, 0.3, …, 2.7 s; then silence; then one at 10 s.
		for range 10 {
			_ = r.Write(Result{Path: "x"})
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(7 * time.Second)
		_ = r.Write(Result{Path: "last"})
		time.Sleep(400 * time.Millisecond)
		test.OK(t, r.Close(t.Context()))
		// Each flush a second after the first line that waits: 0, 1.2, 2.4, 10 (closed before).
		want := "[1s 2.2s 3.4s 10.4s]"
		if got := fmt.Sprint(l.At); got != want {
			t.Errorf("written at %s, want %s", got, want)
		}
		for i, n := range []int{4, 4, 2, 1} {
			if got := strings.Count(l.Writes[i], "\n"); got != n ||
				!strings.HasSuffix(l.Writes[i], "\n") {
				t.Errorf("write %d has %d lines, want %d", i, got, n)
			}
		}
		time.Sleep(time.Minute)
		if len(l.At) != 4 {
			t.Error("written after Close")
		}
	})
}

// A program that waits for each line gets it at once; what comes meanwhile goes together.
func TestResultsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, in := io.Pipe()
		r := NewWriter(in)
		from := bufio.NewReader(out)
		for range 3 {
			test.OK(t, r.Write(Result{Path: "x"}))
			begin := time.Now()
			if _, err := from.ReadString('\n'); err != nil || time.Since(begin) != 0 {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
			synctest.Wait()
		}
		for range 10 {
			test.OK(t, r.Write(Result{Path: "x"}))
		}
		buf := make([]byte, 1<<16)
		for _, want := range []int{1, 9} {
			n, _ := out.Read(buf)
			if got := bytes.Count(buf[:n], []byte("\n")); got != want {
				t.Errorf("%d lines, want %d", got, want)
			}
		}
		test.Check(t, r.Close(t.Context()))
	})
}

func TestResultsWriteWholeLines(t *testing.T) {
	l := golden.NewLog()
	r := NewWriter(l)
	for range 3000 {
		_ = r.Write(Result{Path: strings.Repeat("p", 100), Status: item.Delivered})
	}
	_ = r.Close(t.Context())
	if len(l.Writes) < 5 {
		t.Errorf("only %d writes for half a megabyte", len(l.Writes))
	}
	for _, w := range l.Writes {
		if !strings.HasSuffix(w, "}\n") || !strings.HasPrefix(w, "{") {
			t.Fatalf("a write is not whole lines: %q … %q", w[:20], w[len(w)-20:])
		}
	}
}

// A reader that has stopped blocks neither Write nor Flush, and gets all lines once it reads.
func TestResultsStoppedReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, in := io.Pipe()
		r := NewWriter(in)
		ended, stop := context.WithCancel(t.Context())
		stop()
		n := 0
		for ; !r.Full(); n++ {
			test.OK(t, r.Write(Result{Path: strings.Repeat("p", 100)}))
		}
		if err := r.Room(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Room gives %v while nobody reads", err)
		}
		go func() {
			if err := errors.Join(r.Room(t.Context()), r.Write(Result{Path: "last"}),
				r.Close(t.Context())); err != nil {
				t.Error(err)
			}
			in.Close()
		}()
		text, err := io.ReadAll(out)
		if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); err != nil ||
			len(lines) != n+1 || !strings.Contains(lines[n], "last") {
			t.Errorf("%d lines, %v; want %d", len(lines), err, n+1)
		}
	})
}

// Close does not wait for a reader longer than its context lasts, and says what is missing.
func TestResultsCloseWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, in := io.Pipe()
		defer out.Close()
		r := NewWriter(in)
		for range 3 {
			_ = r.Write(Result{Path: "a"})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		err := r.Close(ctx)
		if d := time.Since(begin); err == nil ||
			!strings.HasSuffix(err.Error(), "not written: 3 lines") || d != 5*time.Second {
			t.Errorf("after %v: %v", d, err)
		}
	})
}

// New work waits for a reader that is behind, and people are told.
func TestResultsAwaitRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, in := io.Pipe()
		r := NewWriter(in)
		test.Check(t, r.AwaitRoom(t.Context(), func() { t.Error("there is room") }))
		for !r.Full() {
			_ = r.Write(Result{Path: strings.Repeat("p", 1000)})
		}
		begin, warned := time.Now(), false
		err := r.AwaitRoom(t.Context(), func() {
			warned = r.IsAwaited()
			go func() { _, _ = io.Copy(io.Discard, out) }()
		})
		if d := time.Since(begin); err != nil || !warned || r.IsAwaited() || d != warnAfter {
			t.Errorf("after %v: %v, warned %v, awaited %v", d, err, warned, r.IsAwaited())
		}
		test.Check(t, r.Close(t.Context()))
		in.Close()
	})
}

// Finish waits for the reader as long as the run is not broken off, and a moment longer.
func TestResultsFinish(t *testing.T) {
	for _, lasts := range []time.Duration{0, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			out, in := io.Pipe()
			defer out.Close()
			r := NewWriter(in)
			_ = r.Write(Result{})
			ctx, cancel := context.WithTimeout(t.Context(), lasts)
			defer cancel()
			var warned atomic.Bool
			begin := time.Now()
			err := r.Finish(ctx, func() { warned.Store(true) })
			d := time.Since(begin)
			if err == nil || warned.Load() != (lasts > 0) || d != lasts+LastWords {
				t.Errorf("after %v: %v, warned %v", d, err, warned.Load())
			}
		})
	}
}

// A failed write is known when it happens, and not only with the next item.
func TestResultsFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWriter(&full{})
		_ = r.Write(Result{})
		begin := time.Now()
		<-r.Failed()
		if d := time.Since(begin); d != flushAfter || r.Err() == nil {
			t.Errorf("known after %v: %v", d, r.Err())
		}
	})
}

func TestResultsConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.ndjson")
	r, err := Create(path)
	test.OK(t, err)
	const workers, each = 16, 300
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				if err := r.Write(Result{Path: fmt.Sprintf("%d/%d", w, i),
					Status: item.Delivered}); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					_ = r.Flush(t.Context())
				}
			}
		})
	}
	wg.Wait()
	test.OK(t, errors.Join(r.Close(t.Context()), r.Close(t.Context())))
	if err := r.Write(Result{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a write after Close gives %v", err)
	}
	info, err := os.Stat(path)
	test.OK(t, err)
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	f, err := os.Open(path)
	test.OK(t, err)
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

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	test.OK(t, err)
	return string(b)
}

// What an earlier run has left stays until there is something in its place.
func TestResultsReplaceOldFile(t *testing.T) {
	const old = `{"type":"item","note":"all that is known of an earlier run"}` + "\n"
	for _, row := range []struct {
		name string
		long string // a name that leaves no room for that of a new file beside it
		link bool
	}{{name: "beside it"}, {name: "in place", long: strings.Repeat("x", 250)},
		{name: "behind a link", link: true}} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, ("results" +
				row.long)[:max(len("results"), len(row.long))])
			if err := os.WriteFile(file, []byte(old), 0o644); err != nil {
				t.Skip("no such names here:", err)
			}
			path := file
			if row.link {
				path = filepath.Join(dir, "link")
				if err := os.Symlink("results", path); err != nil {
					t.Skip(err)
				}
			}
			create := func() *Writer {
				t.Helper()
				r, err := Create(path)
				test.OK(t, err)
				return r
			}
			r := create()
			if got := content(t, file); got != old {
				t.Errorf("creating has left %q", got)
			}
			if err := errors.Join(r.Close(t.Context()), r.Flush(t.Context())); err != nil ||
				content(t, file) != old {
				t.Errorf("a run without items has left %q, %v", content(t, file), err)
			}

			r = create()
			_ = r.Write(Result{Path: "a"})
			if got := content(t, file); got != old {
				t.Errorf("a line that is not written yet has left %q", got)
			}
			if err := r.Flush(t.Context()); err != nil ||
				strings.Count(content(t, file), "\n") != 1 ||
				!strings.Contains(content(t, file), `"path":"a"`) {
				t.Errorf("got %q, %v", content(t, file), err)
			}
			_ = r.Write(Result{Path: "b"})
			if err := r.Close(t.Context()); err != nil ||
				strings.Count(content(t, file), "\n") != 2 ||
				!strings.Contains(content(t, file), `"path":"b"`) {
				t.Errorf("got %q, %v", content(t, file), err)
			}
			if info, err := os.Stat(file); err != nil || row.long == "" &&
				runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if row.link {
				if _, err := os.Readlink(path); err != nil {
					t.Error("the link is gone:", err)
				}
			}

			r = create()
			if err := errors.Join(r.Flush(t.Context()), r.Close(t.Context())); err != nil ||
				content(t, file) != "" {
				t.Errorf("a run that says it has no items has left %q, %v", content(t, file), err)
			}
			names, err := filepath.Glob(filepath.Join(dir, ".*"))
			if err != nil || len(names) > 0 {
				t.Errorf("left behind: %q, %v", names, err)
			}
		})
	}
}

func TestResultsOfNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r")
	r, err := Create(path)
	if err != nil || content(t, path) != "" {
		t.Fatalf("%v", err)
	}
	test.Check(t, r.Close(t.Context()))
}

// A name that is no text can be read back byte for byte.
func TestResultsLineOfNameThatIsNotUTF8(t *testing.T) {
	var b bytes.Buffer
	r := NewWriter(&b)
	if err := errors.Join(r.Write(Result{Path: "d/\xff", Rel: "\xff"}),
		r.Write(Result{Path: "\xff/a", Rel: "a"}),
		r.Write(Result{Path: "d/\xfe", Rel: "\xfe"}), r.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&b)
	for _, want := range []string{"d/\xff|\xff", "\xff/a|", "d/\xfe|\xfe"} {
		var got line
		test.OK(t, dec.Decode(&got))
		if got := string(got.PathBytes) + "|" + string(got.RelBytes); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

type full struct{ writes int }

func (f *full) Write([]byte) (int, error) { f.writes++; return 0, errors.New("disk full") }

func TestResultsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &full{}
		r := NewWriter(w)
		if err := r.Write(Result{Seconds: math.NaN()}); err == nil {
			t.Error("a NaN was written")
		}
		test.Check(t, r.Write(Result{}))
		time.Sleep(time.Second)
		synctest.Wait()
		err := r.Write(Result{})
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("a second later the error is %v", err)
		}
		if cerr := r.Close(t.Context()); cerr != err {
			t.Errorf("Close gives %v, want %v", cerr, err)
		}
		if w.writes != 1 {
			t.Errorf("%d writes: one after an error could leave a hole", w.writes)
		}
	})
	if _, err := Create(filepath.Join(t.TempDir(), "no", "such")); err == nil ||
		!strings.HasPrefix(err.Error(), "results: ") {
		t.Errorf("got error %v", err)
	}
}

func BenchmarkResults(b *testing.B) {
	b.ReportAllocs()
	r := NewWriter(io.Discard)
	it := Result{Path: "data/2026/03/a.csv", URL: "https://h/files/a.csv", Status: item.Delivered,
		HTTPStatus: 201, Attempts: 1, Bytes: 4096, Seconds: 0.0384}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = r.Write(it)
		}
	})
	_ = r.Close(b.Context())
}

// What the user gave by mistake stays as it is.
func TestResultsAreNoDataFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data.csv")
	test.OK(t, os.WriteFile(file, []byte("id,value\n"), 0o600))
	if _, err := Create(file); err == nil ||
		!strings.Contains(err.Error(), "was not written by penstock") {
		t.Errorf("results: %v", err)
	}
}
