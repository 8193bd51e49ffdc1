package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/penstock/penstock/internal/servers"
)

// bench is one invocation.
type bench struct {
	ctx      context.Context
	dir      string
	disk     string // a directory that is on one
	penstock string
	extra    []string
}

// result is what one run took, and what the server saw of it.
type result struct {
	usage
	requests, refused int
}

// rounds measures both clients n times, taking turns, so that a machine that slows down slows both.
func (b *bench) rounds(w workload, n int) (ours, theirs []result, err error) {
	files := filepath.Join(b.dir, "files")
	if err := w.write(files); err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(files)
	for range n {
		r, err := b.once(w, files, b.send)
		if err != nil {
			return nil, nil, fmt.Errorf("penstock: %w", err)
		}
		ours = append(ours, r)
		if w.alone {
			continue
		}
		other := b.plain
		if w.journal {
			other = b.forgetful
		}
		if r, err = b.once(w, files, other); err != nil {
			return nil, nil, fmt.Errorf("the other client: %w", err)
		}
		theirs = append(theirs, r)
	}
	return ours, theirs, nil
}

// A client returns the command that sends the files to the server at url.
type client func(w workload, files, url, cacert, scratch string) []string

// once lets a client do the workload against a server of its own.
func (b *bench) once(w workload, files string, c client) (r result, err error) {
	scratch, err := os.MkdirTemp(b.dir, "run")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(scratch)
	if w.lab != "" || w.post {
		url := w.lab
		if w.post {
			var stop func()
			if url, stop, err = b.practice(); err != nil {
				return r, err
			}
			defer stop()
		}
		if r.usage, err = b.measured(c(w, files, url, "", scratch)); err != nil {
			return r, err
		}
		return r, r.fromReport(filepath.Join(scratch, "report.json"))
	}

	dir := filepath.Join(scratch, "nginx")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return r, err
	}
	s, err := servers.NewNginx(dir, w.server)
	if err != nil {
		return r, err
	}
	defer s.Stop()
	if r.usage, err = b.measured(c(w, files, s.URL, s.CACert, scratch)); err != nil {
		return r, err
	}
	s.Stop()
	log, err := s.Requests()
	if err != nil {
		return r, err
	}
	for _, request := range log {
		r.requests++
		if request.Status >= 400 {
			r.refused++
		}
	}
	return r, w.check(s.Files)
}

// practice starts a practice server that takes everything, in a process of its own.
func (b *bench) practice() (url string, stop func(), err error) {
	cmd := exec.CommandContext(b.ctx, b.penstock, "lab", "slow", "--bandwidth", "100GiB",
		"--record", "false")
	out, err := cmd.StderrPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("practice server: %w", err)
	}
	return regexp.MustCompile(`http://[0-9.:]+`).FindString(line), stop, nil
}

// send is penstock as it is used, its journal on a disk where the files may be in memory; so that
// clients that keep none are compared with their like, it keeps one only where that is what is
// measured.
func (b *bench) send(w workload, files, url, cacert, scratch string) []string {
	argv := []string{b.penstock, "send", "--progress", "none", "--report",
		filepath.Join(scratch, "report.json"),
		"--concurrency", strconv.Itoa(w.workers)}
	if w.lab == "" {
		url += "/{name}"
	}
	argv = append(argv, "--to", url)
	if cacert != "" {
		argv = append(argv, "--cacert", cacert)
	}
	if w.rate > 0 {
		argv = append(argv, "--rps", strconv.Itoa(w.rate))
	}
	if w.post {
		argv = append(argv, "--method", "POST")
	}
	if w.journal {
		argv = append(argv, "--journal", filepath.Join(b.disk, filepath.Base(scratch)+".db"))
	} else {
		argv = append(argv, "--no-journal")
	}
	argv = append(append(argv, w.args...), b.extra...)
	return append(argv, files)
}

// forgetful is penstock without a journal.
func (b *bench) forgetful(w workload, files, url, cacert, scratch string) []string {
	w.journal = false
	return b.send(w, files, url, cacert, scratch)
}

func (b *bench) plain(w workload, files, url, cacert, _ string) []string {
	argv := []string{os.Args[0], "plain", "-workers", strconv.Itoa(w.workers), "-rate",
		strconv.Itoa(w.rate), "-to", url}
	if cacert != "" {
		argv = append(argv, "-cacert", cacert)
	}
	return append(argv, files)
}

// measured runs a command, by way of a process that measures it.
func (b *bench) measured(argv []string) (u usage, err error) {
	self, err := os.Executable()
	if err != nil {
		return u, err
	}
	cmd := exec.CommandContext(b.ctx, self, append([]string{"measure"}, argv...)...)
	out, err := cmd.Output()
	if err != nil {
		said := ""
		if exit, ok := err.(*exec.ExitError); ok {
			said = string(exit.Stderr)
		}
		return u, fmt.Errorf("%w\n%s", err, said)
	}
	return u, json.Unmarshal(out, &u)
}

// fromReport takes the requests from penstock's own report, which the practice server's verdict has
// checked.
func (r *result) fromReport(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var report struct {
		Requests struct{ Sent, Throttled, Overloaded int }
	}
	if err := json.Unmarshal(b, &report); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.requests, r.refused = report.Requests.Sent,
		report.Requests.Throttled+report.Requests.Overloaded
	return nil
}
