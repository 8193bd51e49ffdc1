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

// A server that resets the stream of a PUT may have stored the file. To send it again is an attempt, of which there are as many as
// --attempts says, and a 412 then says nothing about whose file is there.
func TestPutThatIsResetInDoubt(t *testing.T) {
	for _, row := range []struct {
		size, resets    int
		unknown, failed int64
	}{{1, 1, 1, 0}, {60 << 10, 1, 1, 0}, {0, 1, 1, 0}, {1, 100, 0, 1}, {60 << 10, 100, 0, 1}, {0, 100, 0, 1}} {
		var config *tls.Config
		var requests atomic.Int64
		onRawServer(t, 1, func(c net.Conn) {
			conn := &h2{Conn: tls.Server(c, config)}
			conn.serve("", true, func(stream uint32) {
				if requests.Add(1) <= int64(row.resets) {
					_ = conn.frame(frameReset, 0, stream, "\x00\x00\x00\x01")
				} else {
					_ = conn.frame(frameHeaders, flagEndHeaders|flagEnd, stream, "\x08\x03412")
				}
			})
		}, func(w *world) {
			a := newAuthority(t)
			config = &tls.Config{Certificates: []tls.Certificate{a.issue(t, &x509.Certificate{DNSNames: []string{"h.example"}})}, NextProtos: []string{"h2"}}
			w.Network.TLS = &tls.Config{RootCAs: a.pool}
			w.Network.HTTP2 = true
			name := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(name, []byte(strings.Repeat("x", row.size)), 0o600); err != nil {
				t.Fatal(err)
			}
			w.NoOverwrite, w.Attempts = row.failed == 0, 3
			w.from("https://h.example/{path}", source.Options{Paths: []string{name}, Method: http.MethodPut})
			s := w.run()
			w.ended(s, exit.Items, 0, row.failed, row.unknown, 0, 0)
			if n := requests.Load(); n != int64(min(row.resets+1, 3)) {
				t.Errorf("%d bytes: %d requests: %s", row.size, n, errorsOf(s))
			}
		})
	}
}
