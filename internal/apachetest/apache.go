// Package apachetest runs a real Apache for tests, with an upload service in
// Flask under mod_wsgi: one process of five threads, as such services are.
//
// Each server runs in the foreground, in a directory of its own and without
// privileges. It notes each request in an access log, which [Server.Requests]
// reads; what the service has stored, [Server.Stored] tells.
package apachetest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/servertest"
)

//go:embed app.py
var app []byte

// Config says what the server does to its clients. The zero value stores what it gets at once.
type Config struct {
	Wait    time.Duration // how long the service waits for each file
	CPU     time.Duration // and then computes
	Limit   int           // files of one identity at once, 429 beyond; if zero, no limit
	Receipt int           // bytes of each answer

	Backlog        int // of the service, mod_wsgi's listen-backlog; if zero, its default, 100
	ConnectTimeout int // seconds, after which a full backlog is answered 503; if zero, its default, 15

	// mod_bw sends each answer with Bandwidth bytes a second, and answers 503 while it is sending MaxConnection of them. If zero, there is no mod_bw.
	MaxConnection, Bandwidth int
}

// Server is a running Apache. Its methods are for one goroutine.
type Server struct {
	URL string // scheme, host and port, without a slash at the end

	dir     string
	process *servertest.Process
}

// Stored is a file that the service has stored.
type Stored struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Times  int    `json:"times"` // how often it was accepted
}

// Start runs a server until the test ends. Where Apache or a module is missing
// the test is skipped, or fails if PENSTOCK_REQUIRE_SERVERS is 1.
func Start(tb testing.TB, cfg Config) *Server {
	tb.Helper()
	apache, err := find()
	servertest.Must(tb, err)
	// Not below the test's directory, which is closed to other users.
	dir, err := os.MkdirTemp("", "apachetest")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	var s *Server
	// Apache listens by itself. In between, another process may get the port.
	for range 3 {
		s, err = start(apache, dir, cfg)
		if err == nil || !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Stop)
	return s
}

func start(apache, dir string, cfg Config) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("apachetest: %w", err)
	}
	addr := l.Addr().String()
	l.Close()

	settings, err := json.Marshal(map[string]any{
		"wait": cfg.Wait.Seconds(), "cpu": cfg.CPU.Seconds(), "limit": cfg.Limit, "receipt": cfg.Receipt,
	})
	if err != nil {
		return nil, fmt.Errorf("apachetest: %w", err)
	}
	for name, content := range map[string][]byte{
		"httpd.conf": []byte(conf(dir, addr, cfg)),
		"app.py":     app,
		"app.json":   settings,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return nil, fmt.Errorf("apachetest: %w", err)
		}
	}
	cmd := exec.Command(apache, "-D", "FOREGROUND", "-d", dir, "-f", "httpd.conf")
	// It refuses to work as root; as nobody it needs no settings that others do not.
	if err := servertest.Unprivileged(cmd, dir); err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + addr, dir: dir}
	if s.process, err = servertest.Run(cmd); err != nil {
		return nil, err
	}
	if err := s.process.Ready(&http.Client{Transport: &http.Transport{}}, s.URL+"/stored"); err != nil {
		said, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		return nil, fmt.Errorf("apachetest: %w\n%s", err, said)
	}
	return s, nil
}

// Stored tells what the service has, by name.
func (s *Server) Stored() (map[string]Stored, error) {
	resp, err := http.Get(s.URL + "/stored")
	if err != nil {
		return nil, fmt.Errorf("apachetest: %w", err)
	}
	defer resp.Body.Close()
	var all map[string]Stored
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		return nil, fmt.Errorf("apachetest: what is stored: %w", err)
	}
	return all, nil
}

// Requests reads what was asked of the server, in the order of the answers. The last lines are sure to be there after Stop only.
func (s *Server) Requests() ([]servertest.Request, error) {
	return servertest.ReadLog(filepath.Join(s.dir, "access.log"))
}

// KillWorkers kills the processes that answer, in the midst of it; Apache starts
// others. mod_bw goes on counting the answers that were being sent.
func (s *Server) KillWorkers() error {
	pid := strconv.Itoa(s.process.Pid())
	children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		return fmt.Errorf("apachetest: %w", err)
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return fmt.Errorf("apachetest: %w", err)
		}
		p, err := os.FindProcess(pid)
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			return fmt.Errorf("apachetest: %w", err)
		}
	}
	return nil
}

// Stop ends the server and returns when it has gone. Calling it again does nothing.
func (s *Server) Stop() { s.process.Stop() }

// find returns the path of an Apache that has all it needs.
func find() (string, error) {
	const install = "install it (Debian: apt-get install apache2 libapache2-mod-wsgi-py3 libapache2-mod-bw python3-flask)"
	apache, err := exec.LookPath("apache2")
	if err != nil {
		apache = "/usr/sbin/apache2" // where Debian puts it, and not on every user's PATH
		if _, err := os.Stat(apache); err != nil {
			return "", fmt.Errorf("%w: apache2 is neither on the PATH nor at %s: %s", servertest.ErrUnavailable, apache, install)
		}
	}
	for _, module := range modules {
		if _, err := os.Stat(moduleFile(module)); err != nil {
			return "", fmt.Errorf("%w: Apache has no mod_%s: %s", servertest.ErrUnavailable, module, install)
		}
	}
	// The service runs in the Python that mod_wsgi was built for, which is Debian's.
	if out, err := exec.Command("/usr/bin/python3", "-c", "import flask").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: Python has no Flask: %s: %w\n%s", servertest.ErrUnavailable, install, err, strings.TrimSpace(string(out)))
	}
	return apache, nil
}

func moduleFile(name string) string { return "/usr/lib/apache2/modules/mod_" + name + ".so" }
