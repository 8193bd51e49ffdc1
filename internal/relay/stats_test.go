package relay

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// The numbers of a relay are those of its own run: a stored request that an earlier relay has sent
// is not repeated by being sent once.
func TestStatsOfOneRun(t *testing.T) {
	dir := newStore(t)
	status := http.StatusInternalServerError
	var sent atomic.Int64
	handle := func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		sent.Add(1)
		if req.URL.Path == "/base/refused" {
			w.WriteHeader(http.StatusGone)
			return
		}
		w.WriteHeader(status)
	}
	check := func(w *world, want Stats) {
		t.Helper()
		s := w.relay.Stats(time.Now())
		got := Stats{Sent: s.Sent, Repeated: s.Repeated, Stored: s.Stored,
			StoredDelivered: s.StoredDelivered, StoredFailed: s.StoredFailed,
			StoreWaiting: s.StoreWaiting}
		if want.Sent = sent.Swap(0); got.Sent != want.Sent || got.Repeated != want.Repeated ||
			got.Stored != want.Stored || got.StoredDelivered != want.StoredDelivered ||
			got.StoredFailed != want.StoredFailed || got.StoreWaiting != want.StoreWaiting {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	startStored(t, dir, Options{Attempts: 2}, handle, func(w *world) {
		w.put("PUT", "/it", "x")
		time.Sleep(time.Hour) // it is taken up again and again
		check(w, Stats{Stored: 1, StoreWaiting: 1, Repeated: sent.Load() - 1})
	})
	startLater(t, time.Hour, dir, Options{Attempts: 2}, handle, func(w *world) {
		status = http.StatusCreated
		w.put("PUT", "/other", "x")
		w.put("PUT", "/refused", "x")
		time.Sleep(time.Hour)
		check(w, Stats{Stored: 2, StoredDelivered: 2, StoredFailed: 1})
	})
}
