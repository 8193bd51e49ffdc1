package send

import (
	"bufio"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/test"
)

// An authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	made := a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	})
	var err error
	if a.cert, err = x509.ParseCertificate(made.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	a.key = made.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate that is valid now unless it says otherwise.
func (a *authority) issue(t *testing.T, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	test.OK(t, err)
	c.SerialNumber = big.NewInt(1)
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	test.OK(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Who a server is is always made sure of, and how it encrypts.
func TestServersAreVerified(t *testing.T) {
	for name, row := range map[string]struct {
		cert    x509.Certificate
		unknown bool // the authority that issued it
		version uint16
		ours    *tls.Config // if nil, none but the authority's certificate
		says    string      // empty: all is well
		status  int
	}{
		"right": {cert: x509.Certificate{DNSNames: []string{"h.example"}}},
		"wrong host": {cert: x509.Certificate{DNSNames: []string{"other.example"}},
			says: "the certificate of h.example is valid for other.example only: use that name " +
				"in the URL"},
		"wildcard": {cert: x509.Certificate{DNSNames: []string{"*.h.example"}},
			says: "the certificate of h.example is valid for *.h.example only: use that name in " +
				"the URL"},
		"common name": {cert: x509.Certificate{Subject: pkix.Name{CommonName: "h.example"}},
			says: "the certificate of h.example has no subject alternative name, which is " +
				"required: ask the owner of the server to replace it"},
		"unknown": {cert: x509.Certificate{DNSNames: []string{"h.example"}}, unknown: true,
			says: "the certificate of h.example is not trusted (it was issued by test " +
				"authority): if you trust it, give its issuer's certificate with --cacert"},
		"expired": {cert: x509.Certificate{DNSNames: []string{"h.example"},
			NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1,
				0)}, says: "the certificate of h.example expired on 1970-01-01: ask the owner " +
			"of the server to renew it", status: exit.Unavailable},
		"not yet": {cert: x509.Certificate{DNSNames: []string{"h.example"},
			NotBefore: time.Unix(1<<32, 0), NotAfter: time.Unix(1<<33,
				0)}, says: "the certificate of h.example is valid from 2106-02-07 on: check " +
			"this machine's clock", status: exit.Unavailable},
		"not a server": {cert: x509.Certificate{DNSNames: []string{"h.example"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
			says: "the certificate of h.example is not valid: certificate specifies an " +
				"incompatible key usage"},
		"TLS 1.2": {cert: x509.Certificate{DNSNames: []string{"h.example"}},
			version: tls.VersionTLS12},
		"TLS 1.1": {cert: x509.Certificate{DNSNames: []string{"h.example"}},
			version: tls.VersionTLS11, says: "port 443 of h.example does not support TLS 1.2 or " +
				"later"},
		"TLS 1.0, asked for": {cert: x509.Certificate{DNSNames: []string{"h.example"}},
			version: tls.VersionTLS10, ours: &tls.Config{MinVersion: tls.VersionTLS10},
			says: "port 443 of h.example does not support TLS 1.2 or later"},
	} {
		var config *tls.Config
		onRawServer(t, 2, func(c net.Conn) {
			secure := tls.Server(c, config)
			for r := bufio.NewReader(secure); request(r) != nil; {
				_, _ = io.WriteString(secure, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
			}
		}, func(w *world) {
			known, issuer := newAuthority(t), newAuthority(t)
			if !row.unknown {
				issuer = known
			}
			if row.ours == nil {
				row.ours = &tls.Config{}
			}
			row.ours.RootCAs = known.pool
			config = &tls.Config{Certificates: []tls.Certificate{issuer.issue(t, &row.cert)},
				MinVersion: tls.VersionTLS10, MaxVersion: row.version}
			w.Network.TLS = row.ours
			w.Limits.InFlight = 1
			w.to("https://h.example/{path}")
			s := w.run()
			if row.says == "" {
				w.ended(s, exit.Delivered, 2, 0, 0, 0, 0)
				return
			}
			w.ended(s, cmp.Or(row.status, exit.Usage), 0, 1, 0, 0, 1)
			if want := "failed: PUT https://h.example/00000: " + row.says +
				"\nthe server cannot be reached as configured"; errorsOf(s) != want {
				t.Errorf("%s: %s, want %s", name, errorsOf(s), want)
			}
		})
	}
}

// What comes before an answer is bounded as well: a handshake, a proxy's answer, a record of TLS.
func TestConnectingIsBounded(t *testing.T) {
	record := "\x16\x03\x03\x40\x00\x02" // a ServerHello is to come, or what else there is
	for _, row := range []struct {
		name  string
		proxy bool
		serve func(c net.Conn, config *tls.Config)
		after time.Duration
		says  string
	}{
		{"dripping handshake", false, func(c net.Conn, _ *tls.Config) {
			_, _ = io.WriteString(c, record)
			keepWriting(c, "\x00", time.Second)
		}, 10 * time.Second, "TLS handshake timeout"},
		{"dripping proxy", true, func(c net.Conn, _ *tls.Config) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A: ")
			keepWriting(c, "a", time.Second)
		}, time.Minute, "the proxy proxy.example:3128 did not connect to h.example:443 in time"},
		{"proxy's head without end", true, func(c net.Conn, _ *tls.Config) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A: ")
			keepWriting(c, "a", 0)
		}, 0, "the server, or the proxy proxy.example:3128, closed the connection without an " +
			"answer"},
		{"proxy refuses", true, func(c net.Conn, _ *tls.Config) {
			_ = request(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 503 No\r\n\r\n")
			keepWriting(c, "a", 0)
		}, 0, "the proxy proxy.example:3128 answers 503 Service Unavailable"},
		{"dripping record", false, func(c net.Conn, config *tls.Config) {
			secure := tls.Server(c, config)
			if request(bufio.NewReader(secure)) != nil {
				_, _ = io.WriteString(c, "\x17\x03\x03\x40\x00")
				keepWriting(c, "\x00", limit/4)
			}
		}, 2 * limit, "the headers of the answer were not complete within 2 m"},
	} {
		var config *tls.Config
		onRawServer(t, 1, func(c net.Conn) { row.serve(c, config) }, func(w *world) {
			config = w.https()
			w.Network.ConnectTimeout = 10 * time.Second
			if row.proxy {
				w.Network.Proxy = &url.URL{Scheme: "http", Host: "proxy.example:3128"}
			}
			w.to("https://h.example/{path}")
			w.Attempts, w.GiveUpAfter = 1, time.Millisecond
			var lines strings.Builder
			w.Results = results.NewWriter(&lines)
			s := w.run()
			if s.Items.Delivered > 0 || w.since() < row.after ||
				w.since() > 2*row.after+time.Second || !strings.Contains(lines.String(), row.says) {
				t.Errorf("%s: after %v: %s%s", row.name, w.since(), lines.String(), errorsOf(s))
			}
		})
	}
}

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
							_ = h.frame(frameHeaders, flagEndHeaders|flagEnd, stream, status200)
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
