package send

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/resume"
)

// A key in use means that a request with it is worked on: the same key is sent again, by the next
// run too.
func TestKeyInUse(t *testing.T) {
	done := false
	var mu sync.Mutex
	var got []string // the keys of the second file
	onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/00000" {
			atOnce(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		switch got = append(got, r.Header.Get("Idempotency-Key")); {
		case len(got) == 1: // taken in, and the connection is lost while it is worked on
			hijacked(w, "", (*memnet.Conn).Close)
		case !done:
			w.WriteHeader(http.StatusConflict)
		default:
			atOnce(w, r)
		}
	}, func(w *world) {
		w.method("POST")
		w.Workers = 1
		w.Idempotency, w.Attempts = keys, 3
		w.items(w.journaled(), report.ItemCounts{Total: 2, Delivered: 1, Unknown: 1})
		done = true
		time.Sleep(time.Minute)
		w.Only = item.FatesOf(item.Unknown)
		w.items(w.journaled(), report.ItemCounts{Total: 2, Delivered: 1, Skipped: 1})
	})
	for _, key := range got {
		if key == "" || key != got[0] {
			t.Errorf("keys: %q", got)
		}
	}
}

// [exactly once] A key is the same for all attempts and over restarts, and another one when the
// user wants the item sent again.
func TestKeys(t *testing.T) {
	server := nth(func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			w.WriteHeader(http.StatusConflict)
		case 3:
			w.WriteHeader(http.StatusGatewayTimeout)
		}
		return n <= 3
	})
	onFakeTime(t, 1, server, func(w *world) {
		w.method("POST")
		w.Idempotency, w.Attempts = keys, 3
		w.items(w.journaled(), report.ItemCounts{Total: 1, Failed: 1})
		w.items(w.journaled(), report.ItemCounts{Total: 1, Delivered: 1})
		time.Sleep(time.Second)
		w.Again = time.Now()
		w.items(w.journaled(), report.ItemCounts{Total: 1, Delivered: 1})
		got := w.keys("/00000")
		if len(got) != 5 {
			t.Fatalf("%d keys: %q", len(got), got)
		}
		for _, key := range got[:4] {
			if key != got[0] || len(key) != 38 || key[0] != '"' {
				t.Errorf("key %s after %s", key, got[0])
			}
		}
		if got[4] == got[0] {
			t.Error("sent again with the key that the server knows")
		}
	})
}

// A key that has become too old in the middle of a run is not sent again.
func TestKeyGrowsOld(t *testing.T) {
	for _, doubt := range []bool{true, false} {
		server := nth(func(n int, w http.ResponseWriter, _ *http.Request) bool {
			switch {
			case n == 1 && doubt:
				w.WriteHeader(http.StatusInternalServerError)
			case n == 1 || n == 2 && doubt:
				w.Header().Set("Retry-After", "700")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n == 1 || n == 2 && doubt
		})
		onFakeTime(t, 1, server, func(w *world) {
			w.method("POST")
			w.Idempotency = resume.Idempotency{Header: keys.Header, Lifetime: 10 * time.Minute}
			summary := w.run()
			if doubt {
				w.items(summary, report.ItemCounts{Total: 1, Unknown: 1})
				if !strings.Contains(errorsOf(summary), "--key-lifetime") || w.asks() != 2 {
					w.Errorf("%d requests; %s", w.asks(), errorsOf(summary))
				}
			} else {
				w.items(summary, report.ItemCounts{Total: 1, Delivered: 1})
			}
		})
	}
}
