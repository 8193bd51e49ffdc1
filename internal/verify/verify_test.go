package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/digest"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// hang answers nothing until its client is gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// drip sends a byte now and then, forever.
func drip(w http.ResponseWriter, r *http.Request) {
	for r.Method == "GET" && r.Context().Err() == nil {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		time.Sleep(9 * time.Second)
	}
}

func TestAnswersTakeNotForEver(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		timeout time.Duration
		size    int64
		took    time.Duration
		note    string
	}{
		{"silence", hang, 0, 5, time.Minute, "no answer in time"},
		{"silence, timeout", hang, 7 * time.Second, 1 << 30, 7 * time.Second, "no answer in time"},
		{"drops", drip, 0, 100, time.Minute, "the server's answer took too long"},
		{"drops of a large file", drip, 10 * time.Second, 30<<20 + 1, 40 * time.Second,
			"the server's answer took too long"},
	} {
		it := onDisk(t, "PUT", "http://h/f", "")
		it.Size = c.size
		askOnFakeTime(t, c.handler, func(t *testing.T, v *Verifier) {
			v.Timeout = c.timeout
			began := time.Now()
			got, note, err := v.Check(t.Context(), it, nil, Known{})
			if took := time.Since(began); got != CannotTell || note != c.note || err != nil ||
				took != c.took {
				t.Errorf("%s: %v, %q, %v after %v", c.name, got, note, err, took)
			}
		})
	}
}

// Waiting for its turn is no part of the time that an answer may take.
func TestWaitsForItsTurn(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", "hello")
	askOnFakeTime(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	}, func(t *testing.T, v *Verifier) {
		v.Client.Transport.(*throttle.Transport).Limits.Rate = 0.001
		began := time.Now()
		for range 2 {
			if got, note, err := v.Check(t.Context(), it, nil, Known{Began: began}); got != There ||
				err != nil {
				t.Errorf("%v, %q, %v", got, note, err)
			}
		}
		if took := time.Since(began); took != 1000*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestEndsWithItsContext(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", strings.Repeat("x", 100))
	enough := errors.New("enough")
	for name, handler := range map[string]http.HandlerFunc{"head": hang, "content": drip} {
		askOnFakeTime(t, handler, func(t *testing.T, v *Verifier) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer time.AfterFunc(13*time.Second, func() { cancel(enough) }).Stop()
			if got, note, err := v.Check(ctx, it, nil, Known{}); got != CannotTell || note != "" ||
				err != enough {
				t.Errorf("%s: %v, %q, %v", name, got, note, err)
			}
		})
	}
}

// A body without an end is not read to it.
func TestReadsNoMoreThanTheItemHas(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", "hello")
	sent := 0
	askOnFakeTime(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Method == "GET" {
			n, err := w.Write(make([]byte, 32<<10))
			if sent += n; err != nil {
				return
			}
		}
	}, func(t *testing.T, v *Verifier) {
		if got, note, err := v.Check(t.Context(), it, nil, Known{}); got != Other || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
	})
	if sent > 1<<20 {
		t.Errorf("%d bytes were taken", sent)
	}
}

// cut lets the connection go in the middle.
func cut(w http.ResponseWriter, r *http.Request) {
	if r.Method == "GET" {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "he")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestBrokenServers(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f?sig=secret", "hello")
	askOnFakeTime(t, cut, func(t *testing.T, v *Verifier) {
		if got, note, err := v.Check(t.Context(), it, nil, Known{}); got != CannotTell ||
			note != "the server's answer was cut off" || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
		it := it
		it.URL = "http://h/%zz?secret"
		if got, note, err := v.Check(t.Context(), it, nil, Known{}); got != CannotTell ||
			note != "its URL cannot be asked" || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
	})
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	askOnFakeTime(t, abort, func(t *testing.T, v *Verifier) {
		if got, note, err := v.Check(t.Context(), it, nil, Known{}); got != CannotTell ||
			note != "" || !errors.As(err, new(*NoAnswerError)) || !errors.Is(err, io.EOF) {
			t.Errorf("%v, %q, %v", got, note, err)
		}
		v.Client.Transport.(*throttle.Transport).Stop(errors.New("interrupted"))
		if got, note, err := v.Check(t.Context(), it, nil, Known{}); got != CannotTell ||
			note != "the run ended before it was asked" || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
	})
}

// Real servers of files answer as it is hoped for.
func TestFileServer(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 1000)
	it := onDisk(t, "PUT", "http://h/f", string(content))
	askOnFakeTime(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "f", time.Now(), bytes.NewReader(content))
	}, func(t *testing.T, v *Verifier) {
		if got, note, err := v.Check(t.Context(), it, nil,
			Known{Began: time.Now()}); got != There || note != "its length and date" || err != nil {
			t.Errorf("%v, %q, %v", got, note, err)
		}
	})
}

func TestHeader(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", "hello")
	var got http.Header
	v := asking(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	})
	upload := http.Header{
		"Authorization": {"Bearer x"}, "User-Agent": {"penstock"}, "Accept-Encoding": {"gzip"},
		"X-Key": {"k"}, "Content-Type": {"text/csv"}, "Content-Digest": {"x"},
		"Content-Encoding": {"gzip"}, "If-None-Match": {"*"}, "Idempotency-Key": {"k"},
		"Expect": {"x"},
	}
	v.KeyHeader = "x-key"
	before := upload.Clone()
	if verdict, _, err := v.Check(t.Context(), it, upload, Known{}); verdict != There ||
		err != nil {
		t.Fatal(verdict, err)
	}
	want := http.Header{
		"Authorization": {"Bearer x"}, "User-Agent": {"penstock"},
		"Accept-Encoding": {"identity"}, "Cache-Control": {"no-cache"},
		"Want-Repr-Digest": {"sha-256=10, sha-512=3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before, upload); diff != "" {
		t.Errorf("the upload's has changed:\n%s", diff)
	}
}

// A file is read only if there is something to compare it with, and not where its hash is known.
func TestReadsNoFileInVain(t *testing.T) {
	sum := sha256.Sum256([]byte("hello"))
	for _, c := range []struct {
		name   string
		field  string
		digest []byte
		want   Verdict
		err    error
	}{
		{"nothing to compare", "", nil, There, nil},
		{"known", digest.Field(sum), sum[:], There, nil},
		{"not known", digest.Field(sum), nil, CannotTell, os.ErrNotExist},
	} {
		it := onDisk(t, "PUT", "http://h/f", "hello")
		if err := os.Remove(it.Path); err != nil {
			t.Fatal(err)
		}
		v := asking(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("Repr-Digest", c.field)
		})
		if got, note, err := v.Check(t.Context(), it, nil,
			Known{SHA256: c.digest, Began: time.Now()}); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %q, %v", c.name, got, note, err)
		}
	}
	it := onDisk(t, "PUT", "http://h/f", "hello")
	it.ModTime = it.ModTime.Add(-time.Second)
	v := asking(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	if got, _, err := v.Check(t.Context(), it, nil, Known{}); got != CannotTell ||
		!errors.Is(err, retry.ErrFileChanged) {
		t.Errorf("changed: %v, %v", got, err)
	}
}

// That a POST left nothing at its URL means something only where others have.
func TestPost(t *testing.T) {
	stored := map[string]bool{}
	v := asking(func(w http.ResponseWriter, r *http.Request) {
		if !stored[r.Host+r.URL.Path] {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	})
	check := func(method, url string, want Verdict) {
		t.Helper()
		if got, note, err := v.Check(t.Context(), onDisk(t, method, url, "hello"), nil,
			Known{}); got != want || err != nil {
			t.Errorf("%s %s: %v, %q, %v, want %v", method, url, got, note, err, want)
		}
	}
	check("POST", "http://a/lost", CannotTell)
	v.Delivered(onDisk(t, "POST", "http://a/1", "hello"), noHeader)
	v.Delivered(onDisk(t, "PUT", "http://a/put", "hello"), noHeader)
	v.Delivered(onDisk(t, "POST", "http://c/empty", ""), noHeader)
	check("POST", "http://c/lost", CannotTell)
	check("POST", "http://a/lost", CannotTell) // its server keeps nothing there
	stored["a/1"], stored["a/2"] = true, true
	check("POST", "http://a/lost", Absent)
	check("POST", "http://a/2", There)
	delete(stored, "a/1")
	check("POST", "http://a/lost", Absent) // it did
	for i := range 3 {                     // of which the first two were fetched from there
		v.Delivered(onDisk(t, "POST", fmt.Sprintf("http://d/%d", i), "hello"), noHeader)
	}
	stored["d/2"] = true
	check("POST", "http://d/lost", Absent)
	stored["e/1"] = true
	check("POST", "http://e/lost", CannotTell)
	check("POST", "http://e/1", There)
	check("POST", "http://e/lost", Absent) // after another in doubt was there
	check("PATCH", "http://a/lost", CannotTell)
	check("POST", "http://b/lost", CannotTell)
	check("PUT", "http://b/lost", Absent)
}

func TestOwnURL(t *testing.T) {
	for _, c := range []struct {
		it      item.Item
		several bool
		want    bool
	}{
		{item.Item{Method: "PUT", URL: "http://h/x"}, true, true},
		{item.Item{Method: "POST", URL: "http://h/upload", Path: "d/a.csv"}, true, false},
		{item.Item{Method: "POST", URL: "http://h/items/7", Path: "d/a.csv"}, false, true},
		{item.Item{Method: "POST", URL: "http://h/d/a%20b.csv?x=/y", Path: "d/a b.csv"}, true,
			true},
		{item.Item{Method: "PATCH", URL: "http://h/d/a", Path: "d/a.csv"}, true, true},
		{item.Item{Method: "POST", URL: "http://h/a.csv/", Path: "d/a.csv"}, true, false},
		{item.Item{Method: "POST", URL: "http://h/7", Path: "d/a.csv", Key: "7"}, true, true},
		{item.Item{Method: "POST", URL: "http://h/", Path: "d/.x"}, true, false},
		{item.Item{Method: "POST", URL: "http://h/%zz", Path: "%zz"}, true, false},
	} {
		if got := OwnURL(c.it, c.several); got != c.want {
			t.Errorf("%s %s of %s, several %v: %v", c.it.Method, c.it.URL, c.it.Path, c.several,
				got)
		}
	}
}

// An empty file that was posted is not taken for delivered because a URL answers with nothing.
func TestPostOfEmptyFile(t *testing.T) {
	v := asking(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/1" {
			io.WriteString(w, "hello")
		}
	})
	it := onDisk(t, "POST", "http://h/2", "")
	for _, want := range []Verdict{CannotTell, There} {
		if got, note, err := v.Check(t.Context(), it, nil, Known{}); got != want || err != nil {
			t.Errorf("%v, %q, %v, want %v", got, note, err, want)
		}
		v.Delivered(onDisk(t, "POST", "http://h/1", "hello"), noHeader)
	}
}

func TestSettles(t *testing.T) {
	it := onDisk(t, "PUT", "http://h/f", "hello")
	askOnFakeTime(t, http.NotFound, func(t *testing.T, v *Verifier) {
		v.Settle = 30 * time.Second
		want := Known{Ended: time.Now()}
		for _, c := range []struct {
			wait time.Duration
			want Verdict
		}{{0, CannotTell}, {v.Settle - 1, CannotTell}, {1, Absent}} {
			time.Sleep(c.wait)
			if got, note, err := v.Check(t.Context(), it, nil, want); got != c.want || err != nil {
				t.Errorf("after %v: %v, %q, %v", time.Since(want.Ended), got, note, err)
			}
		}
		if got, _, err := v.Check(t.Context(), it, nil, Known{}); got != Absent || err != nil {
			t.Errorf("long ago: %v, %v", got, err)
		}
		if got, _, err := v.Check(t.Context(), it, nil,
			Known{Ended: time.Now().Add(time.Hour)}); got != CannotTell || err != nil {
			t.Errorf("the clock was put back: %v, %v", got, err)
		}
	})
}
