package throttle

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Trailers come through, also those that were not announced.
func TestTrailers(t *testing.T) {
	for _, announced := range []string{"", "Early"} {
		for _, http2 := range []bool{false, true} {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter,
				_ *http.Request) {
				if announced != "" {
					w.Header().Set("Trailer", announced)
				}
				w.(http.Flusher).Flush() // HTTP/1 has trailers only where the length is not known
				_, _ = io.WriteString(w, "body")
				w.Header().Set(http.TrailerPrefix+"Late", "2")
			}))
			s.EnableHTTP2 = http2
			s.StartTLS()
			c := s.Client()
			c.Transport = &Transport{Base: c.Transport}
			resp, err := c.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(body) != "body" || err != nil || resp.Trailer.Get("Late") != "2" {
				t.Errorf("HTTP/%d, %q announced: %q, %v, trailers %v", resp.ProtoMajor, announced,
					body, err, resp.Trailer)
			}
			s.Close()
		}
	}
}
