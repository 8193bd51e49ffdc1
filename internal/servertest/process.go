// Package servertest is what tests against real servers share: how a server's
// process is started, waited for and stopped, and how its access log is read.
// Its own tests are those of `penstock send` against all of these servers.
package servertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// ErrUnavailable says that this machine lacks a server, or a module of it, that
// a test needs.
var ErrUnavailable = errors.New("servertest: not installed")

// Must fails the test if err is not nil. Where a server is missing it skips the
// test instead, unless PENSTOCK_REQUIRE_SERVERS is 1.
func Must(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, ErrUnavailable) && os.Getenv("PENSTOCK_REQUIRE_SERVERS") != "1" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// A Process is a server that runs in the foreground. It ends with Stop, or with
// the program that started it.
type Process struct {
	cmd    *exec.Cmd
	said   bytes.Buffer // on standard error; read once it has exited
	exited chan struct{}
}

// Run starts cmd.
func Run(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, exited: make(chan struct{})}
	cmd.Stderr = &p.said
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	dieWithParent(cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		// Linux ends the child together with the thread that started it, so that thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("servertest: %w", err)
	}
	return p, nil
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ready returns once url is answered with a status that is no error. If that
// takes too long, or the server ends, it stops the server and says why.
func (p *Process) Ready(client *http.Client, url string) error {
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	for {
		if err = get(ctx, client, url); err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-p.exited:
		case <-ctx.Done():
		}
		p.Stop()
		return fmt.Errorf("servertest: %s does not answer: %w\n%s", p.cmd.Path, err, p.said.Bytes())
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

// Stop ends the server and returns when it has gone. Calling it again does nothing.
func (p *Process) Stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.exited
	}
}
