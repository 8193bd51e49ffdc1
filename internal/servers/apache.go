package servers

import (
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
)

// ApacheConfig says what an Apache does to its clients. The zero value stores what it gets at once.
type ApacheConfig struct {
	Wait    time.Duration // how long the service waits for each file
	CPU     time.Duration // and then computes
	Limit   int           // files of one identity at once, 429 beyond; if zero, no limit
	Receipt int           // bytes of each answer

	Backlog        int // of the service, mod_wsgi's listen-backlog; if zero, its default, 100
	ConnectTimeout int // seconds, after which a full backlog is answered 503; if zero, 15

	// mod_bw sends each answer with Bandwidth bytes a second, and answers 503 while it is sending
	// MaxConnection of them. If zero, there is no mod_bw.
	MaxConnection, Bandwidth int
}

// Apache is an Apache that runs, with an upload service in Flask under mod_wsgi: one process of
// five threads, as such services are. It has no privileges.
type Apache struct{ Server }

// Stored is a file that the service has stored.
type Stored struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Times  int    `json:"times"` // how often it was accepted
}

// StartApache runs a server until the test ends. Where Apache or a module is missing the test is
// skipped, or fails if PENSTOCK_REQUIRE_SERVERS is 1.
func StartApache(tb testing.TB, cfg ApacheConfig) *Apache {
	tb.Helper()
	apache, err := findApache()
	must(tb, err)
	// Not below the test's directory, which is closed to other users.
	dir, err := os.MkdirTemp("", "apache")
	must(tb, err)
	tb.Cleanup(func() { os.RemoveAll(dir) })
	var s *Apache
	// Apache listens by itself. In between, another process may get the port.
	for range 3 {
		s, err = newApache(apache, dir, cfg)
		if err == nil || !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	must(tb, err)
	tb.Cleanup(s.Stop)
	return s
}

func newApache(apache, dir string, cfg ApacheConfig) (*Apache, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()

	s := &Apache{Server{URL: "http://" + addr, dir: dir}}
	for _, name := range []string{"httpd.conf", "app.py"} {
		if err := s.write(name, struct {
			ApacheConfig
			Addr, Dir string
			Modules   []string
		}{cfg, addr, dir, apacheModules}); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(apache, "-D", "FOREGROUND", "-d", dir, "-f", "httpd.conf")
	// It refuses to work as root; as nobody it needs no settings that others do not.
	if err := unprivileged(cmd, dir); err != nil {
		return nil, err
	}
	return s, s.start(cmd, &http.Client{Transport: &http.Transport{}}, "/stored")
}

// Stored returns what the service has, by name.
func (s *Apache) Stored() (map[string]Stored, error) {
	resp, err := http.Get(s.URL + "/stored")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var all map[string]Stored
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		return nil, fmt.Errorf("%s/stored: %w", s.URL, err)
	}
	return all, nil
}

// KillWorkers kills the processes that answer, in the midst of it; Apache starts others. mod_bw
// goes on counting the answers that were being sent.
func (s *Apache) KillWorkers() error {
	pid := strconv.Itoa(s.cmd.Process.Pid)
	children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		return err
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		p, err := os.FindProcess(pid)
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// apacheModules are those that the configuration needs, in the order in which they are loaded.
var apacheModules = []string{"mpm_event", "authz_core", "alias", "bw", "wsgi"}

func moduleFile(name string) string { return "/usr/lib/apache2/modules/mod_" + name + ".so" }

// findApache returns the path of an Apache that has all it needs.
func findApache() (string, error) {
	const packages = "apache2 libapache2-mod-wsgi-py3 libapache2-mod-bw python3-flask"
	apache, err := find("apache2", packages)
	if err != nil {
		return "", err
	}
	for _, module := range apacheModules {
		if _, err := os.Stat(moduleFile(module)); err != nil {
			return "", unavailable(packages, "Apache has no mod_%s", module)
		}
	}
	// The service runs in the Python that mod_wsgi was built for, which is Debian's.
	out, err := exec.Command("/usr/bin/python3", "-c", "import flask").CombinedOutput()
	if err != nil {
		return "", unavailable(packages, "Python has no Flask: %w\n%s", err, out)
	}
	return apache, nil
}
