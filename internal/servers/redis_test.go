package servers

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// It keeps over its end what SAVE wrote, and nothing else.
func TestRedisStartsAgain(t *testing.T) {
	s := StartRedis(t, RedisConfig{Password: "let me in"})
	s.Do(t, "SET", "kept", "yes")
	s.Do(t, "SAVE")
	s.Do(t, "SET", "lost", "yes")
	s.Kill()
	if _, err := s.do(t.Context(), "PING"); err == nil {
		t.Error("it answers after its end")
	}
	test.OK(t, s.Start())
	if got := s.Do(t, "MGET", "kept", "lost"); got != "yes\n" {
		t.Errorf("after its end it has %q", got)
	}
	if version := s.Version(); !strings.Contains(version, ".") {
		t.Errorf("version %q", version)
	}
	s.Stop()
	s.Stop()
}

func TestRedisTLS(t *testing.T) {
	s := StartRedis(t, RedisConfig{TLS: true})
	pem, err := os.ReadFile(s.CACert)
	test.OK(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", s.TLS, &tls.Config{RootCAs: roots})
	test.OK(t, err)
	conn.Close()
}
