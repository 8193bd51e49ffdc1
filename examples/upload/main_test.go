package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
)

// When its context ends, what is in flight finishes, within the time for that, and nothing new is sent.
func TestUploadStopsInGoodOrder(t *testing.T) {
	var names []string
	for i := range 60 {
		name := filepath.Join(t.TempDir(), strconv.Itoa(i))
		if err := os.WriteFile(name, []byte("data"), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	for _, row := range []struct {
		takes, ends time.Duration
		cut         bool
	}{{10 * time.Second, 12 * time.Second, false}, {time.Hour, 27100 * time.Millisecond, true}} {
		synctest.Test(t, func(t *testing.T) {
			var sent, whole, cut atomic.Int32
			l := memnet.Listen()
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sent.Add(1)
				io.Copy(io.Discard, r.Body)
				select {
				case <-time.After(row.takes):
					whole.Add(1)
				case <-r.Context().Done():
					cut.Add(1)
				}
			})}
			go srv.Serve(l)
			base := http.DefaultTransport
			tr := &http.Transport{DialContext: l.DialContext}
			http.DefaultTransport = tr
			defer func() {
				http.DefaultTransport = base
				tr.CloseIdleConnections()
				srv.Close()
				time.Sleep(time.Second)
			}()
			*to = "http://files.example/"
			ctx, cancel := context.WithCancel(t.Context())
			begin := time.Now()
			time.AfterFunc(2100*time.Millisecond, cancel)

			err := upload(ctx, names)
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if took := time.Since(begin); took != row.ends {
				t.Errorf("it ended after %v, want %v", took, row.ends)
			}
			synctest.Wait()
			want := [...]int32{9, 9, 0} // at 4 a second
			if row.cut {
				want = [...]int32{9, 0, 9}
			}
			if got := [...]int32{sent.Load(), whole.Load(), cut.Load()}; got != want {
				t.Errorf("sent, finished and cut: %v, want %v", got, want)
			}
		})
	}
}
