package send

import (
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
		{200, "text/html", "<HTML><body>Please sign in</body>", page},
		{200, "text/html", "OK", ""},
		{201, "text/html", "<!DOCTYPE HTML PUBLIC><title>201 Created</title>", ""}, // as Apache does
		{200, "text/plain", "<html>", ""},
		{200, "application/json", `{"success":false,"message":"no"}`, failed},
		{200, "application/json", ` {"ok": false}`, failed},
		{201, "application/problem+json", `{"error":{"code":1}}`, failed},
		{200, "application/json", `{"error":"quota"}`, failed},
		{200, "application/json", `{"error":"","success":false}`, failed},
		{200, "application/json", `{"error":null,"success":true}`, ""},
		{200, "application/json", `{"error":"","errors":[]}`, ""},
		{200, "application/json", `{"success":"false"}`, ""},
		{200, "application/json", `[{"success":false}]`, ""},
		{200, "application/json", `{"success":false,"x":"` + strings.Repeat("x", maxHead) + `"}`, ""},
		{200, "text/plain", `{"success":false}`, ""},
		{204, "application/json", "", ""},
	} {
		onFakeTime(t, 5, func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			rw.Header().Set("Content-Type", c.kind)
			rw.WriteHeader(c.status)
			io.WriteString(rw, c.text)
		}, func(w *world) {
			w.ended(w.run(), exit.Delivered, 5, 0, 0, 0, 0)
			talk := w.watch.talk.String()
			if n := strings.Count(talk, "level=WARN"); c.want == "" && n != 0 || c.want != "" && (n != 1 || !strings.Contains(talk, c.want) || !strings.Contains(talk, "/0000")) {
				t.Errorf("%d %s %.50s: want %q in\n%s", c.status, c.kind, c.text, c.want, talk)
			}
		})
	}
}
