package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A service is the server of a test, without a network: an http.RoundTripper that calls a handler.
type service http.HandlerFunc

func (s service) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	answer := httptest.NewRecorder()
	s(answer, req)
	return answer.Result(), nil
}

func urls(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("http://api.example.com/", i))
	}
	return all
}

// Requests leave at the pace that was given: four a second, the first at once.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		server := service(func(http.ResponseWriter, *http.Request) {
			time.Sleep(3 * time.Second) // how long an answer takes does not matter
		})
		if err := upload(t.Context(), server, urls(41)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 13*time.Second {
			t.Errorf("it took %v, want 10 s for 41 requests, and 3 s for the last answer", took)
		}
	})
}

// A server that asks for half an hour is left alone for so long, and nothing is lost.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var until time.Time
		requests, accepted := 0, map[string]bool{}
		server := service(func(w http.ResponseWriter, r *http.Request) {
			requests++
			switch {
			case requests == 10:
				until = time.Now().Add(30 * time.Minute)
				w.Header().Set("Retry-After", "1800")
				w.WriteHeader(http.StatusTooManyRequests)
			case time.Now().Before(until):
				t.Errorf("a request %v before the pause ends", time.Until(until))
			default:
				accepted[r.URL.Path] = true
				w.WriteHeader(http.StatusCreated)
			}
		})
		begin := time.Now()
		if err := upload(t.Context(), server, urls(20)); err != nil {
			t.Fatal(err)
		}
		if len(accepted) != 20 || requests != 21 {
			t.Errorf("%d accepted after %d requests, want 20 after 21", len(accepted), requests)
		}
		if took := time.Since(begin); took < 30*time.Minute || took > 31*time.Minute {
			t.Errorf("it took %v, want the half hour and some seconds", took)
		}
	})
}

// When the program is interrupted, what is in flight finishes, here with an http.Server at the
// other end of a pipe.
func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stored atomic.Int32
		network := newPipes()
		store := func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			time.Sleep(10 * time.Second)
			stored.Add(1)
		}
		server := &http.Server{Handler: http.HandlerFunc(store)}
		go server.Serve(network)
		base := &http.Transport{DialContext: network.DialContext}

		begin := time.Now()
		ctx, interrupt := context.WithCancel(t.Context())
		time.AfterFunc(2100*time.Millisecond, interrupt)
		if err := upload(ctx, base, urls(60)); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want that it was canceled", err)
		}
		if took := time.Since(begin); took != 12*time.Second {
			t.Errorf("it took %v, want 2 s until the last request, and 10 s for its answer", took)
		}
		if n := stored.Load(); n != 9 {
			t.Errorf("%d stored, want the 9 that were sent", n)
		}

		// In a bubble of synctest all goroutines have to end.
		base.CloseIdleConnections()
		server.Close()
	})
}
