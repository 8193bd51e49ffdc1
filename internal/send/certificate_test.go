package send

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Our certificate is shown to the server that gets the headers and the token, and to no other: not
// to one that a manifest names, not to the target of a redirect, and not to a proxy.
func TestCertificateStaysHome(t *testing.T) {
	lines := `{"path":"FILE","url":"https://h.example/a"}
{"path":"FILE","url":"https://other.example/b"}
{"path":"FILE","url":"https://h.example:8443/c"}
{"path":"FILE","url":"https://H.example:443/d"}
`
	for _, row := range []struct {
		name  string
		home  string
		http2 bool
		proxy *url.URL
		shown map[string]int // certificates, by the server's name
	}{
		{"direct", "https://h.example", false, nil,
			map[string]int{"h.example": 1, "other.example": 0, "h.example:8443": 0}},
		{"HTTP/2", "https://h.example", true, nil,
			map[string]int{"h.example": 1, "other.example": 0}},
		{"by a proxy", "https://h.example", false, &url.URL{Scheme: "https", Host: "proxy.example"},
			map[string]int{"proxy.example": 0, "h.example": 1, "other.example": 0,
				"h.example:8443": 0}},
		{"one server", "", false, nil, map[string]int{"h.example": 1}},
	} {
		for _, method := range []string{http.MethodPut, http.MethodPost} {
			var config *tls.Config
			var mu sync.Mutex
			shown := make(map[string]int)
			onRawServer(t, 1, func(c net.Conn) {
				for {
					secure := tls.Server(c, config)
					if secure.Handshake() != nil {
						return
					}
					state := secure.ConnectionState()
					name := state.ServerName
					r := bufio.NewReader(secure)
					if state.NegotiatedProtocol == "h2" {
						mu.Lock()
						shown[name] += len(state.PeerCertificates)
						mu.Unlock()
						h := &h2{Conn: secure}
						h.serve("", true, func(stream uint32) {
							_ = h.frame(frameHeaders,
								flagEndHeaders|flagEnd, stream, status200)
						})
						return
					}
					req := request(r)
					if req == nil {
						return
					}
					if strings.HasSuffix(req.Host, ":8443") {
						name = "h.example:8443"
					}
					mu.Lock()
					shown[name] += len(state.PeerCertificates)
					mu.Unlock()
					if req.Method == http.MethodConnect {
						_, _ = io.WriteString(secure, "HTTP/1.1 200 OK\r\n\r\n")
						c = secure
						continue
					}
					_, _ = io.WriteString(secure,
						"HTTP/1.1 307 Elsewhere\r\nLocation: "+
							"https://other.example/z\r\nConnection: close\r\nContent-Length: "+
							"0\r\n\r\n")
					return
				}
			}, func(w *world) {
				a := newAuthority(t)
				ours := a.issue(t, &x509.Certificate{DNSNames: []string{"h.example",
					"other.example", "proxy.example"}})
				config = &tls.Config{Certificates: []tls.Certificate{ours},
					ClientAuth: tls.RequestClientCert}
				if row.http2 {
					config.NextProtos = []string{"h2"}
				}
				w.Network.TLS = &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{ours}}
				w.Network.HTTP2, w.Network.Proxy = row.http2, row.proxy
				w.HeaderOrigin = row.home
				text := strings.ReplaceAll(lines, "FILE", w.firstFile())
				if row.home == "" {
					text, _, _ = strings.Cut(text, "\n")
				}
				w.manifest(strings.ReplaceAll(text, `"url"`, `"method":"`+method+`","url"`))
				w.Limits.InFlight = 1
				_ = w.run()
			})
			got := make(map[string]int)
			for name, n := range shown {
				got[name] = min(n, 1)
			}
			if !maps.Equal(got, row.shown) {
				t.Errorf("%s, %s: certificates shown: %v, want %v", row.name, method, got,
					row.shown)
			}
		}
	}
}
