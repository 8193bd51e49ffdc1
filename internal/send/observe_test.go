package send

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// An acceptance counts from when its request was sent, also where the package retry judges it later than it came since the
// request was still being written.
func TestAcceptanceCountsFromSending(t *testing.T) {
	onFakeTime(t, 1, func(http.ResponseWriter, *http.Request) {}, func(w *world) {
		r := newRun(w.Options)
		defer func() { _ = r.pool.Drain(w.Context()) }()
		for it := range w.Source.Items() {
			j := &job{item: it}
			req, err := http.NewRequestWithContext(context.WithValue(w.Context(), jobKey{}, j), it.Method, it.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			key, sent := originOf(it.URL), time.Now()
			r.observe(throttle.Event{Kind: throttle.Sent, Key: key, Request: req, Token: sent})
			time.Sleep(time.Second)
			r.observe(throttle.Event{Kind: throttle.Ended, Key: key, Request: req, Status: http.StatusOK, Latency: time.Second})
			time.Sleep(time.Second)
			s := r.servers[key]
			s.alike.refuse(j, http.StatusNotFound)
			time.Sleep(8 * time.Second)
			r.retrying(retry.Event{Request: req, Attempt: 1, Status: http.StatusOK})
			if at := s.newest[it.Method]; !at.Equal(sent) {
				t.Errorf("the newest that was accepted was sent after %v, want 0s", at.Sub(sent))
			}
			if s.accepted != 1 || s.alike.row != 1 {
				t.Errorf("%d accepted, %d refused since: want 1, and the one that was sent later", s.accepted, s.alike.row)
			}
		}
	})
}
