package throttle

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
)

// A server that refuses a stream has too much to do. One that ends a connection that was in use
// says nothing about that, as long as it serves the next one.
func TestStreamsWithoutGetBody(t *testing.T) {
	for _, row := range []struct {
		cause  string
		reused bool
		want   Signal
	}{
		{"stream error: stream ID 3; REFUSED_STREAM; received from peer", true, SignalOverloaded},
		{"http2: Transport received Server's graceful shutdown GOAWAY", true, SignalIgnored},
		{"http2: Transport received Server's graceful shutdown GOAWAY", false, SignalOverloaded},
	} {
		synctest.Test(t, func(t *testing.T) {
			var got Signal
			tr := &Transport{
				Observe: func(e Event) {
					if e.Kind == EventEnded {
						got = e.Signal
					}
				},
				Base: roundTripper(func(r *http.Request) (*http.Response, error) {
					trace := httptrace.ContextClientTrace(r.Context())
					trace.GetConn("a:80")
					trace.GotConn(httptrace.GotConnInfo{Reused: row.reused})
					trace.WroteRequest(httptrace.WroteRequestInfo{})
					return nil, errors.New("http2: Transport: cannot retry err [" + row.cause +
						"] after Request.Body was written; define Request.GetBody to avoid this error")
				}),
			}
			r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://a/", strings.NewReader("x"))
			r.GetBody = nil
			if _, err := tr.RoundTrip(r); err == nil || got != row.want {
				t.Errorf("%s, reused %v: %v, want %v", row.cause, row.reused, got, row.want)
			}
		})
	}
}
