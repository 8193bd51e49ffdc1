package send

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/source"
)

// net/http sends a request again after PROTOCOL_ERROR, which does not say that it was not processed. A POST is sent once.
func TestPostThatIsResetInDoubt(t *testing.T) {
	for _, size := range []int{0, 1, 60 << 10} {
		for _, form := range []string{"", "file"} {
			var config *tls.Config
			var requests atomic.Int64
			onRawServer(t, 1, func(c net.Conn) {
				conn := &h2{Conn: tls.Server(c, config)}
				conn.serve("", true, func(stream uint32) {
					if requests.Add(1) == 1 {
						_ = conn.frame(frameReset, 0, stream, "\x00\x00\x00\x01")
					} else {
						_ = conn.frame(frameHeaders, flagEndHeaders|flagEnd, stream, status200)
					}
				})
			}, func(w *world) {
				a := newAuthority(t)
				config = &tls.Config{Certificates: []tls.Certificate{a.issue(t, &x509.Certificate{DNSNames: []string{"h.example"}})}, NextProtos: []string{"h2"}}
				w.Network.TLS = &tls.Config{RootCAs: a.pool}
				w.Network.HTTP2 = true
				name := filepath.Join(t.TempDir(), "file")
				if err := os.WriteFile(name, []byte(strings.Repeat("x", size)), 0o600); err != nil {
					t.Fatal(err)
				}
				w.Form = form
				w.from("https://h.example/{path}", source.Options{Paths: []string{name}, Method: http.MethodPost})
				s := w.run()
				w.ended(s, exit.Items, 0, 0, 1, 0, 0)
				if n := requests.Load(); n != 1 {
					t.Errorf("%d bytes, form %q: %d requests", size, form, n)
				}
			})
		}
	}
}
