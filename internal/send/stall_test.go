package send

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/throttle"
)

const limit = time.Minute

// A server that takes a request and says nothing more costs one limit.
func TestStallEndsAttempt(t *testing.T) {
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-r.Context().Done()
	}, func(w *world) {
		w.Attempts = 1
		s := w.run()
		w.ended(s, exit.Items, 0, 1, 0, 0, 0)
		if w.since() != limit || !strings.Contains(errorsOf(s), "the whole file was sent, and no answer came for 1 m: if the server takes longer, raise --stall-timeout") {
			t.Errorf("after %v: %s", w.since(), errorsOf(s))
		}
	})
}

// Neither a slow server nor our own bandwidth is a stall, however many share it.
func TestSlowUploadsAreDelivered(t *testing.T) {
	onFakeTime(t, 5, func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != 40<<10 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		w.WriteHeader(http.StatusCreated)
	}, func(w *world) {
		dir := filepath.Dir(w.firstFile())
		for it := range w.Source.Items() {
			if err := os.WriteFile(it.Path, make([]byte, 40<<10), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.from(w.To, source.Options{Paths: []string{dir}})
		w.Limits = throttle.Limits{InFlight: 5, Bandwidth: 256}
		w.Attempts = 1
		s := w.run()
		w.ended(s, exit.Delivered, 5, 0, 0, 0, 0)
		if s.Requests.Sent != 5 {
			t.Errorf("%d requests", s.Requests.Sent)
		}
	})
}
