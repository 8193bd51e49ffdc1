package send

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/exit"
)

// An acceptance that looks like none is warned of, once a run, and counts.
func TestShamAcceptance(t *testing.T) {
	const page, failed = "with a web page", "its text says that it failed"
	for _, c := range []struct {
		status     int
		kind, text string
		want       string
	}{
		{200, "text/html; charset=utf-8", "\n<!DOCTYPE html><title>Sign in</title>", page},
		{200, "application/json", `{"success":false,"message":"no"}`, failed},
	} {
		onFakeTime(t, 5, func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			rw.Header().Set("Content-Type", c.kind)
			rw.WriteHeader(c.status)
			io.WriteString(rw, c.text)
		}, func(w *world) {
			w.ended(w.run(), exit.Delivered, 5, 0, 0, 0, 0)
			talk := w.watch.talk.String()
			if n := strings.Count(talk, "level=WARN"); c.want == "" && n != 0 || c.want != "" &&
				(n != 1 || !strings.Contains(talk, c.want) || !strings.Contains(talk, "/0000")) {
				t.Errorf("%d %s %.50s: want %q in\n%s", c.status, c.kind, c.text, c.want, talk)
			}
		})
	}
}

// What a page says, or an answer in gzip, is told of the file.
func TestPagesAreToldOf(t *testing.T) {
	for _, c := range []struct{ kind, coding, body, want string }{
		{"text/html", "", "<html><head><title>Only JPEG is accepted</title></head>",
			"422 Unprocessable Entity: Only JPEG is accepted"},
		{"application/json", "gzip", zipped(`{"error":"no such album"}`),
			`422 Unprocessable Entity: {"error":"no such album"}`},
	} {
		onFakeTime(t, 1, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			if c.coding != "" {
				w.Header().Set("Content-Encoding", c.coding)
			}
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(c.body))
		}, func(w *world) {
			if text := errorsOf(w.run()); !strings.Contains(text, c.want) {
				t.Errorf("it says %s, want %s", text, c.want)
			}
		})
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}
