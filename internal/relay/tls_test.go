package relay

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

// Requests that come as HTTP/1.1 leave by TLS, as HTTP/2 where both sides have it, with trailers
// and interim answers.
func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	n := 0
	handle := func(rw http.ResponseWriter, req *http.Request) {
		if n++; n == 1 && req.Method == "PUT" { // the second attempt has the trailer too
			io.Copy(io.Discard, req.Body)
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		rw.Header().Set("Link", "</style.css>")
		rw.WriteHeader(http.StatusEarlyHints)
		text, err := io.ReadAll(req.Body)
		rw.Header().Set("Trailer", "X-Sum")
		fmt.Fprintf(rw, "%s %s %s %v %v %s", req.Proto, req.Host, text, err, req.Trailer,
			req.Header.Get("Via"))
		rw.Header().Set("X-Sum", "answer's")
	}
	for _, c := range []struct {
		http2 bool
		roots *x509.CertPool
		want  string
	}{
		{true, roots, "HTTP/2.0 example.com text <nil> map[X-Sum:[request's]] 1.1 penstock"},
		{false, roots, "HTTP/1.1 example.com text <nil> map[X-Sum:[request's]] 1.1 penstock"},
		{true, x509.NewCertPool(), "--cacert"},
	} {
		for _, method := range []string{"PUT", "POST"} {
			n = 0
			o := Options{Targets: []Target{{URL: parse(t, "https://example.com/")}}}
			o.Network.HTTP2 = c.http2
			o.Network.TLS = &tls.Config{Certificates: s.TLS.Certificates, RootCAs: c.roots}
			start(t, o, handle, func(w *world) {
				req := w.request(method, "/x", "text")
				req.ContentLength = -1
				req.Trailer = http.Header{"X-Sum": {"request's"}}
				hints := 0
				trace := &httptrace.ClientTrace{
					Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
						if code == http.StatusEarlyHints && h.Get("Link") != "" {
							hints++
						}
						return nil
					}}
				resp, err := w.client.Do(req.WithContext(
					httptrace.WithClientTrace(w.t.Context(), trace)))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if err != nil || !strings.Contains(string(text), c.want) {
					t.Errorf("%s: %v, %d %s", method, err, resp.StatusCode, text)
				}
				if c.roots == roots && (resp.Trailer.Get("X-Sum") != "answer's" || hints != 1) {
					t.Errorf("%s: trailers %v, %d hints", method, resp.Trailer, hints)
				}
				if c.roots != roots && resp.StatusCode != http.StatusBadGateway {
					t.Errorf("%s: %d", method, resp.StatusCode)
				}
			})
		}
	}
}
