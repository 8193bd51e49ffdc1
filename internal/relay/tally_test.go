package relay

import (
	"errors"
	"maps"
	"net/http"
	"testing"
	"time"
)

// What was not accepted is counted by what has happened, and a repetition if it has left.
func TestCounts(t *testing.T) {
	answers := []int{429, 503, 502, 404, 200}
	n := 0
	handle := func(rw http.ResponseWriter, _ *http.Request) {
		if n++; n > len(answers) {
			panic(http.ErrAbortHandler)
		}
		rw.WriteHeader(answers[n-1])
	}
	start(t, Options{}, handle, func(w *world) {
		w.send("PUT", "/a", "x")
		w.send("PUT", "/b", "x")
		time.Sleep(10 * time.Second)
		req := w.request("PUT", "/c", "x")
		req.Header.Set("Prefer", "wait=0")
		w.do(req)
		s := w.relay.Stats(time.Now())
		want := map[string]int64{"throttled (429)": 1, "overloaded (503)": 1,
			"not accepted (502)": 1, "not answered (connection lost)": 1}
		if s.Sent != 6 || s.Repeated != 3 || s.Throttled != 1 || !maps.Equal(s.Troubles, want) {
			t.Errorf("%+v", s)
		}
	})
}

// Requests that are refused are counted by why.
func TestCountsRefusals(t *testing.T) {
	handle := func(http.ResponseWriter, *http.Request) { time.Sleep(4 * time.Second) }
	start(t, Options{QueueWait: time.Second}, handle, func(w *world) {
		_ = w.relay.SetLimits("", Change{InFlight: new(1)}, "a test")
		w.send("PUT", "/a", "x")
		go w.send("PUT", "/b", "x")
		time.Sleep(time.Second)
		w.send("PUT", "/late", "x")
		w.send("TRACE", "/", "")
		w.stop(errors.New("interrupted"))
		time.Sleep(time.Second)
		w.send("PUT", "/stopping", "x")
		s := w.relay.Stats(time.Now())
		if s.Refused != 3 || s.Late != 1 || s.Stopping != 1 {
			t.Errorf("%+v", s)
		}
	})
}
