package problem

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/penstock/penstock/retry"
)

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		d     *Document
		again string // Retry-After
		text  string
	}{
		{Refusal(404, "no such thing"), "",
			`{"title":"Not Found","status":404,"detail":"no such thing"}`},
		{Later("busy", 0), "1", `{"title":"Service Unavailable","status":503,"detail":"busy",` +
			`"outcome":"deferred"}`},
		{Later("busy", 1001*time.Millisecond), "2", `{"title":"Service Unavailable",` +
			`"status":503,"detail":"busy","outcome":"deferred"}`},
		{Later("busy", 1<<62), "86400", `{"title":"Service Unavailable","status":503,` +
			`"detail":"busy","outcome":"deferred"}`},
		{&Document{Status: 502, Outcome: retry.Failed, Attempts: 3}, "",
			`{"title":"Bad Gateway","status":502,"detail":"","outcome":"failed","attempts":3}`},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "7") // of another answer
		c.d.Write(w)
		h := w.Header()
		if w.Code != c.d.Status || h.Get("Retry-After") != c.again ||
			h.Get("Content-Type") != "application/problem+json" || h.Get("Content-Length") != "" ||
			h.Get("Cache-Control") != "no-store" || w.Body.String() != c.text+"\n" {

			t.Errorf("%+v: %d %v %s", c.d, w.Code, h, w.Body)
		}
	}
}
