package send

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// An acceptance counts from when its request was sent, also where the package retry judges it later
// than it came since the request was still being written.
func TestAcceptanceCountsFromSending(t *testing.T) {
	onFakeTime(t, 1, func(http.ResponseWriter, *http.Request) {}, func(w *world) {
		r := newRun(w.Options)
		defer func() { _ = r.pool.Drain(w.Context()) }()
		for it := range w.Source.Items() {
			j := &job{item: it}
			req, err := http.NewRequestWithContext(context.WithValue(w.Context(), jobKey{}, j),
				it.Method, it.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			key, sent := nethttp.OriginOf(it.URL), time.Now()
			r.observe(throttle.Event{Kind: throttle.Sent, Key: key, Request: req, Token: sent})
			time.Sleep(time.Second)
			r.observe(throttle.Event{Kind: throttle.Ended, Key: key, Request: req,
				Status: http.StatusOK, Latency: time.Second})
			time.Sleep(time.Second)
			s := r.servers.Of(key)
			s.Refuse(filepath.Dir(it.Path), http.StatusNotFound)
			time.Sleep(8 * time.Second)
			r.retrying(retry.Event{Request: req, Attempt: 1, Status: http.StatusOK})
			if s.AcceptedLike(it.Method, sent) || !s.AcceptedLike(it.Method, sent.Add(-1)) {
				t.Error("the newest that was accepted was not sent then")
			}
			if accepted, row := s.Accepted(), s.Row(); accepted != 1 || row.Items != 1 {
				t.Errorf("%d accepted, %d refused since: want 1, and the one that was sent later",
					accepted, row.Items)
			}
		}
	})
}

// An answer that was sent before a refusal and is judged after it is no evidence that the server
// refuses a pace.
func TestLateJudgementIsNoEvidence(t *testing.T) {
	onFakeTime(t, 1, func(http.ResponseWriter, *http.Request) {}, func(w *world) {
		r := newRun(w.Options)
		defer func() { _ = r.pool.Drain(w.Context()) }()
		for it := range w.Source.Items() {
			key := nethttp.OriginOf(it.URL)
			send := func() *http.Request {
				j := &job{item: it}
				req, err := http.NewRequestWithContext(context.WithValue(w.Context(), jobKey{},
					j), it.Method, it.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.observe(throttle.Event{Kind: throttle.Sent, Key: key, Request: req,
					Token: time.Now()})
				return req
			}
			for range 2 {
				early, refused := send(), send()
				time.Sleep(time.Second)
				r.observe(throttle.Event{Kind: throttle.Ended, Key: key, Request: early,
					Status: http.StatusOK, Outcome: throttle.Success, Latency: time.Second})
				r.observe(throttle.Event{Kind: throttle.Ended, Key: key, Request: refused,
					Status: http.StatusServiceUnavailable, Outcome: throttle.Overloaded,
					Latency: time.Second})
				time.Sleep(9 * time.Second)
				r.retrying(retry.Event{Request: early, Attempt: 1, Status: http.StatusOK})
			}
			s := r.servers.Of(key)
			if n := s.Accepted(); n != 2 || s.IsPressed() {
				t.Errorf("%d accepted, evidence %v: want 2, and none", n, s.IsPressed())
			}
		}
	})
}

// A pause is logged with its server, its reason and its end, also if our own quota is the reason.
func TestPauseIsLogged(t *testing.T) {
	for source, want := range map[string]string{
		"quota":       "our quota at http://127.0.0.1 is used up for 5 s; paused until %s",
		"retry-after": "http://127.0.0.1 asked us to wait 5 s (Retry-After); paused until %s",
	} {
		onFakeTime(t, 1, func(http.ResponseWriter, *http.Request) {}, func(w *world) {
			r := newRun(w.Options)
			defer func() { _ = r.pool.Drain(w.Context()) }()
			now := time.Now()
			until := now.Add(5 * time.Second)
			r.observe(throttle.Event{Kind: throttle.Paused, Key: "http://127.0.0.1",
				Source: source, Until: until})
			if text := fmt.Sprintf(want, human.InstantSeconds(until,
				now)); !strings.Contains(w.watch.talk.String(), text) {
				t.Errorf("it does not say %q:\n%s", text, w.watch.talk.String())
			}
		})
	}
}

// A quota that lasts longer than the run waits is not said to be what the server asked for.
func TestQuotaEndsRun(t *testing.T) {
	onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("RateLimit-Limit", "1")
		w.Header().Set("RateLimit-Remaining", "0")
		w.Header().Set("RateLimit-Reset", "3600")
		accept(w, r, 0)
	}, func(w *world) {
		w.MaxWait, w.Limits.InFlight = time.Minute, 1
		s := w.run()
		want := "our quota at the server is used up until " +
			w.begin.Add(time.Hour).Format(time.RFC3339) + ", longer than --max-wait 1 m"
		if s.ExitStatus != exit.Unavailable || !slices.Contains(s.Notes, want) {
			t.Errorf("exit status %d, notes %q; want %q", s.ExitStatus, s.Notes, want)
		}
	})
}
