// Package servers runs a real nginx and a real Apache for tests and benchmarks: servers that
// penstock's authors did not write, as the judges of what was sent, how fast, and whether every
// byte arrived. It also runs a real Redis, in which processes share a quota.
//
// [StartNginx], [StartApache] and [StartRedis] are for tests, [NewNginx] for other programs. Each
// server runs in the foreground, in a directory of its own. An HTTP server logs each request, which
// [Server.Requests] reads. Stop ends a server, and so does the end of the program that started it.
// The package limits nothing and knows nothing of penstock.
package servers

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"text/template"
	"time"
)

//go:embed nginx.conf httpd.conf app.py
var files embed.FS

var templates = template.Must(template.New("").
	Funcs(template.FuncMap{"module": moduleFile}).ParseFS(files, "*"))

// errUnavailable says that this machine lacks a server, or a module of it, that a test needs.
var errUnavailable = errors.New("not installed")

// unavailable returns an errUnavailable with the Debian packages that have what is missing.
func unavailable(packages, format string, args ...any) error {
	return fmt.Errorf("%w: %w: install it (Debian: apt-get install %s)",
		errUnavailable, fmt.Errorf(format, args...), packages)
}

// must fails the test if err is not nil. Where a server is missing it skips the test instead,
// unless PENSTOCK_REQUIRE_SERVERS is 1.
func must(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, errUnavailable) && os.Getenv("PENSTOCK_REQUIRE_SERVERS") != "1" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// find returns the path of a server. Debian keeps them in a directory that is not on every user's
// PATH.
func find(name, packages string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
		if _, err := os.Stat(path); err != nil {
			return "", unavailable(packages, "%s is neither on the PATH nor at %s", name, path)
		}
	}
	return path, nil
}

// A Server is a server that runs. Its methods are for one goroutine.
type Server struct {
	URL string // scheme, host and port, without a slash at the end

	dir    string
	cmd    *exec.Cmd
	said   bytes.Buffer // on standard error; read once it has exited
	exited chan struct{}
}

// write writes the file name, as configured by cfg, to the server's directory.
func (s *Server) write(name string, cfg any) error {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, cfg); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, name), b.Bytes(), 0o644)
}

// start runs cmd, and returns once path is answered with a status that is no error.
func (s *Server) start(cmd *exec.Cmd, client *http.Client, path string) error {
	defer client.CloseIdleConnections()
	return s.await(cmd, func(ctx context.Context) error { return get(ctx, client, s.URL+path) })
}

// await runs cmd, and returns once ready returns no error. If that takes too long, or the server
// ends, it stops the server and returns an error that says why.
func (s *Server) await(cmd *exec.Cmd, ready func(context.Context) error) error {
	s.said.Reset()
	s.cmd, s.exited = cmd, make(chan struct{})
	cmd.Stderr = &s.said
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// Linux ends the child together with the thread that started it, so that thread has to
		// stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(s.exited)
		}
	}()
	if err := <-started; err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-s.exited:
		case <-ctx.Done():
		}
		s.Stop()
		logged, _ := os.ReadFile(filepath.Join(s.dir, "error.log"))
		return fmt.Errorf("%s does not answer: %w\n%s%s", cmd.Path, err, s.said.Bytes(), logged)
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= 400 {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// Kill ends the server at once, as a power cut does, and returns when it has gone.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// Stop ends the server and returns when it has gone. Calling it again does nothing.
func (s *Server) Stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	defer time.AfterFunc(10*time.Second, func() { s.cmd.Process.Kill() }).Stop()
	<-s.exited
}
