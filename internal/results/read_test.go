package results

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
)

// What a line of ours says is read back.
func FuzzLine(f *testing.F) {
	f.Add("d/\xff", "\xff", "http://h/a?***", "k", true)
	f.Add("a", "a", "", "", false)
	captured := Captured(`{"id":7,"of":{"path":"b","status":["failed"]}}`)
	f.Fuzz(func(t *testing.T, path, rel, url, key string, made bool) {
		if path == "" {
			return
		}
		want := Result{
			Path: path, Rel: rel, URL: strings.ToValidUTF8(url, "?"), Method: "PUT",
			Key: strings.ToValidUTF8(key, "?"), KeyMade: made, Status: item.Deferred,
		}
		line := want
		line.Captured, line.DeliveredAt = captured, time.Unix(1, 0) // nothing that a run reads
		var b bytes.Buffer
		w := NewWriter(&b)
		if err := w.Write(line); err != nil {
			t.Fatal(err)
		}
		_ = w.Close(t.Context())
		if got, err := Parse(b.Bytes()); err != nil || got != want {
			t.Fatalf("%s is read as %+v, %v", &b, got, err)
		}
	})
}
