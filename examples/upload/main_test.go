package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
)

// When its context ends nothing new is sent, what is in flight finishes, within the time for that,
// and the next run sends the rest.
func TestUploadStopsAndGoesOn(t *testing.T) {
	for _, row := range []struct {
		name  string
		takes time.Duration // an answer, in the first run
		cut   bool
	}{{"in good order", time.Second, false}, {"too slow", time.Hour, true}} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			*listed = filepath.Join(dir, "list")
			names := func() (names []string) {
				for i := range 60 {
					names = append(names, filepath.Join(dir, strconv.Itoa(i)+" ü%"))
				}
				return names
			}
			for _, name := range names() {
				if err := os.WriteFile(name, []byte("data"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				sent, whole, cut := 0, map[string]int{}, 0
				takes := row.takes
				var answered time.Time // last
				l := memnet.Listen()
				store := func(_ http.ResponseWriter, r *http.Request) {
					mu.Lock()
					sent++
					mu.Unlock()
					_, _ = io.Copy(io.Discard, r.Body)
					select {
					case <-time.After(takes):
						mu.Lock()
						whole[r.URL.Path]++
						answered = time.Now()
						mu.Unlock()
					case <-r.Context().Done():
						mu.Lock()
						cut++
						mu.Unlock()
					}
				}
				srv := &http.Server{Handler: http.HandlerFunc(store)}
				go srv.Serve(l)
				base, inMemory := http.DefaultTransport, &http.Transport{DialContext: l.DialContext}
				http.DefaultTransport = inMemory
				defer func() {
					http.DefaultTransport = base
					inMemory.CloseIdleConnections()
					srv.Close()
					time.Sleep(time.Minute) // for connections that are idle
				}()
				*to = "http://files.example/in"

				ctx, cancel := context.WithCancel(t.Context())
				var begun int
				var ended time.Time
				time.AfterFunc(5500*time.Millisecond, func() {
					mu.Lock()
					begun = sent
					mu.Unlock()
					ended = time.Now()
					cancel()
				})
				left := upload(ctx, names())
				n := 60 - left
				took := time.Since(ended)
				synctest.Wait()
				if begun == 0 || sent != begun || n != len(whole) {
					t.Errorf("%d sent, %d of them after the end; delivered %d, want %d",
						sent, sent-begun, n, len(whole))
				}
				if row.cut && (took != 25*time.Second || cut != sent) {
					t.Errorf("it ended after %v, %d of %d cut", took, cut, sent)
				}
				if !row.cut && (took != answered.Sub(ended) || cut != 0) {
					t.Errorf("it ended after %v, want %v; %d cut", took, answered.Sub(ended), cut)
				}

				takes = time.Second
				if left := upload(t.Context(), names()); left != 0 {
					t.Errorf("the next run left %d", left)
				}
				for _, name := range names() {
					if whole["/in"+name] != 1 {
						t.Errorf("%s arrived %d times", name, whole["/in"+name])
					}
				}
			})
		})
	}
}
