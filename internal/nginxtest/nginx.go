// Package nginxtest runs a real nginx for tests and benchmarks: a server that penstock's authors did not write, as the judge of
// what was sent, how fast, and whether every byte arrived.
//
// [Start] is for tests, [New] for other programs. Each server is a foreground process with one worker, in a directory of its own; it stores what is
// PUT to /NAME as Files/NAME and notes each request in an access log, which [Server.Requests] reads. Stop ends it, and so does the
// end of the program that started it.
package nginxtest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/servertest"
)

// Config says what the server does to its clients. The zero value takes everything at once, over plain HTTP.
type Config struct {
	TLS        bool
	Rate       int    // limit_req in requests a second; if zero, no limit
	Burst      int    // how many may come early, taken without delay
	Refusal    int    // status beyond Rate; if zero, nginx's default of 503
	RetryAfter string // the Retry-After that goes with 429 and 503; empty: none
	Conns      int    // limit_conn: requests at a time, 503 beyond; if zero, no limit

	// Proxy is the URL of a server that it passes requests on to instead of storing files; empty: none. After ProxyTimeout without a byte
	// from there, whole milliseconds, it answers 504; if zero, nginx's default of a minute.
	Proxy        string
	ProxyTimeout time.Duration
}

// Server is a running nginx. Its methods are for one goroutine.
type Server struct {
	URL    string // scheme, host and port, without a slash at the end
	Files  string // the directory that has what was stored
	CACert string // PEM file to trust, empty without TLS

	dir     string
	process *servertest.Process
}

// Start runs a server until the test ends. Without a usable nginx the test is skipped, or fails if PENSTOCK_REQUIRE_SERVERS is 1.
func Start(tb testing.TB, cfg Config) *Server {
	tb.Helper()
	s, err := New(tb.TempDir(), cfg)
	servertest.Must(tb, err)
	tb.Cleanup(s.Stop)
	return s
}

// New runs a server in dir, an empty directory. It returns once the server answers; the caller calls Stop.
func New(dir string, cfg Config) (*Server, error) {
	nginx, err := find(cfg)
	if err != nil {
		return nil, err
	}

	// nginx takes over a socket that already listens (its way to replace itself without a gap), so the port cannot be lost to
	// another process in between, and clients that come early wait in the backlog.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("nginxtest: %w", err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, fmt.Errorf("nginxtest: %w", err)
	}
	defer socket.Close()

	s := &Server{
		URL:   "http://" + l.Addr().String(),
		Files: filepath.Join(dir, "files"),
		dir:   dir,
	}
	if cfg.TLS {
		s.URL = "https://" + l.Addr().String()
		s.CACert = filepath.Join(dir, "cert.pem")
		if err := writeCert(s.CACert, filepath.Join(dir, "key.pem")); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(s.Files, 0o755); err != nil {
		return nil, fmt.Errorf("nginxtest: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf(l.Addr().String(), cfg)), 0o644); err != nil {
		return nil, fmt.Errorf("nginxtest: %w", err)
	}

	cmd := exec.Command(nginx, "-p", dir, "-c", "nginx.conf")
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Env = append(os.Environ(), "NGINX=3;")
	if s.process, err = servertest.Run(cmd); err != nil {
		return nil, err
	}
	client, err := s.Client()
	if err == nil {
		err = s.process.Ready(client, s.URL+readyPath)
	}
	if err != nil {
		s.Stop()
		said, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		return nil, fmt.Errorf("nginxtest: %w\n%s", err, said)
	}
	return s, nil
}

// Client returns a client of its own that speaks HTTP/1.1 and trusts the server's certificate.
func (s *Server) Client() (*http.Client, error) {
	t := &http.Transport{MaxIdleConnsPerHost: 64, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	if s.CACert != "" {
		pem, err := os.ReadFile(s.CACert)
		if err != nil {
			return nil, fmt.Errorf("nginxtest: %w", err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		t.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return &http.Client{Transport: t}, nil
}

// Requests reads what was asked of the server, in the order of the answers. The last lines are sure to be there after Stop only.
func (s *Server) Requests() ([]servertest.Request, error) {
	return servertest.ReadLog(filepath.Join(s.dir, "access.log"))
}

// Stop ends the server and returns when it has gone. Calling it again does nothing.
func (s *Server) Stop() { s.process.Stop() }

// find returns the path of an nginx with the modules that cfg needs.
func find(cfg Config) (string, error) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx" // where Debian puts it, and not on every user's PATH
		if _, err := os.Stat(nginx); err != nil {
			return "", fmt.Errorf("%w: not on the PATH nor at %s: install it (Debian: apt-get install nginx)", servertest.ErrUnavailable, nginx)
		}
	}
	out, err := exec.Command(nginx, "-V").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s -V: %w", servertest.ErrUnavailable, nginx, err)
	}
	need := []string{"--with-http_dav_module"}
	if cfg.TLS {
		need = append(need, "--with-http_ssl_module")
	}
	for _, module := range need {
		if !strings.Contains(string(out), module) {
			return "", fmt.Errorf("%w: %s was built without %s", servertest.ErrUnavailable, nginx, module)
		}
	}
	return nginx, nil
}
