package servers

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// NginxConfig says what an nginx does to its clients. The zero value takes everything at once, over
// plain HTTP.
type NginxConfig struct {
	TLS        bool
	Rate       int    // limit_req in requests a second; if zero, no limit
	Burst      int    // how many may come early, taken without delay
	Refusal    int    // status beyond Rate; if zero, nginx's default of 503
	RetryAfter string // the Retry-After that goes with 429 and 503; empty: none
	Conns      int    // limit_conn: requests at a time, 503 beyond; if zero, no limit

	// Proxy is the URL of a server that it passes requests on to instead of storing files; empty:
	// none. After ProxyTimeout without a byte from there, whole milliseconds, it answers 504; if
	// zero, nginx's default of a minute.
	Proxy        string
	ProxyTimeout time.Duration
}

// Nginx is an nginx that runs, with one worker. It stores what is PUT to /NAME as Files/NAME.
type Nginx struct {
	Server
	Files  string // the directory that has what was stored
	CACert string // PEM file to trust, empty without TLS

	client *http.Client
}

// StartNginx runs a server until the test ends. Without a usable nginx the test is skipped, or
// fails if PENSTOCK_REQUIRE_SERVERS is 1.
func StartNginx(tb testing.TB, cfg NginxConfig) *Nginx {
	tb.Helper()
	s, err := NewNginx(tb.TempDir(), cfg)
	must(tb, err)
	tb.Cleanup(s.Stop)
	return s
}

// NewNginx runs a server in dir, an empty directory. It returns once the server answers; the caller
// calls Stop.
func NewNginx(dir string, cfg NginxConfig) (*Nginx, error) {
	nginx, err := findNginx(cfg.TLS)
	if err != nil {
		return nil, err
	}

	// nginx takes over a socket that already listens (its way to replace itself without a gap), so
	// the port cannot be lost to another process in between, and clients that come early wait in
	// the backlog.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer socket.Close()

	addr := l.Addr().String()
	transport := &http.Transport{
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 only
	}
	s := &Nginx{
		Server: Server{URL: "http://" + addr, dir: dir},
		Files:  filepath.Join(dir, "files"),
		client: &http.Client{Transport: transport},
	}
	if cfg.TLS {
		s.URL = "https://" + addr
		s.CACert = filepath.Join(dir, "cert.pem")
		roots, err := writeCert(s.CACert, filepath.Join(dir, "key.pem"))
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	if err := os.Mkdir(s.Files, 0o755); err != nil {
		return nil, err
	}
	if err := s.write("nginx.conf", struct {
		NginxConfig
		Addr string
		Root bool
	}{cfg, addr, os.Geteuid() == 0}); err != nil {
		return nil, err
	}

	cmd := exec.Command(nginx, "-p", dir, "-c", "nginx.conf")
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Env = append(os.Environ(), "NGINX=3;")
	if err := s.start(cmd, s.client, "/.ready"); err != nil {
		return nil, err
	}
	return s, nil
}

// findNginx returns the path of an nginx with the modules that are needed.
// FindNginx returns the program, or an error that says how to install it.
func FindNginx() (string, error) { return findNginx(false) }

func findNginx(withTLS bool) (string, error) {
	nginx, err := find("nginx", "nginx")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(nginx, "-V").CombinedOutput()
	if err != nil {
		return "", unavailable("nginx", "%s -V: %w", nginx, err)
	}
	need := []string{"--with-http_dav_module"}
	if withTLS {
		need = append(need, "--with-http_ssl_module")
	}
	for _, module := range need {
		if !strings.Contains(string(out), module) {
			return "", unavailable("nginx", "%s was built without %s", nginx, module)
		}
	}
	return nginx, nil
}
