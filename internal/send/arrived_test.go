package send

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
)

// A file of which nobody knows whether it arrived has a note that says so, whatever is to be done with it.
func TestWhatMayHaveArrived(t *testing.T) {
	const may = "an attempt may have been accepted"
	for _, c := range []struct {
		status int
		wait   string
		want   item.Fate
		note   string
	}{
		{500, "", item.Failed, may},
		{404, "", item.Failed, ""},
		{502, "7200", item.Deferred, may},
		{503, "7200", item.Deferred, ""},
	} {
		onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
			if c.wait != "" {
				w.Header().Set("Retry-After", c.wait)
			}
			w.WriteHeader(c.status)
		}, func(w *world) {
			var lines bytes.Buffer
			w.Results = results.NewWriter(&lines)
			w.Attempts, w.MaxWait = 1, time.Hour
			w.run()
			var got results.Result
			if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Status != c.want || got.Note != c.note {
				t.Errorf("%d: %s, note %q; want %s, %q", c.status, got.Status, got.Note, c.want, c.note)
			}
		})
	}
}
