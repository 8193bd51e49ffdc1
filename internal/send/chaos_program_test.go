package send

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/results"
)

// buildPenstock builds the command and returns where it is.
func buildPenstock(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "penstock.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin,
		"github.com/penstock/penstock/cmd/penstock").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// A program is a process of the command. The test that starts it kills it.
type program struct {
	cmd    *exec.Cmd
	began  time.Time
	said   tail
	exited chan struct{}
}

// start runs the command in dir, where it keeps its state too.
func start(bin, dir string, args ...string) (*program, error) {
	p := &program{cmd: exec.Command(bin, args...), began: time.Now(), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.said, &p.said
	p.cmd.Env = append(os.Environ(), "PENSTOCK_STATE="+filepath.Join(dir, "state"))
	p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithParent(p.cmd.SysProcAttr)
	started := make(chan error)
	go func() {
		// Linux ends the child together with the thread that started it, so that thread has to
		// stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
			close(p.exited)
		}
	}()
	return p, <-started
}

// kill ends the program at once, if it has not ended.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// wait reports whether the program ended by itself within d.
func (p *program) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// status is the exit status of a program that has ended, -1 if a signal ended it.
func (p *program) status() int { return p.cmd.ProcessState.ExitCode() }

// tail keeps the last of what a program says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 4 << 10
	t.text = append(t.text, p...)
	if len(t.text) > 2*most {
		t.text = append(t.text[:0], t.text[len(t.text)-most:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}

// client asks servers for their record.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil},
	Timeout: 10 * time.Second}

// A labProcess is a `penstock lab` in a process of its own.
type labProcess struct {
	*program
	url string
}

var labAddress = regexp.MustCompile(`on (http://\S+) `)

func startLab(bin string, args ...string) (*labProcess, error) {
	p, err := start(bin, "", append([]string{"lab"}, args...)...)
	if err != nil {
		return nil, err
	}
	for range 1000 {
		if m := labAddress.FindStringSubmatch(p.said.String()); m != nil {
			return &labProcess{p, m[1]}, nil
		}
		if p.wait(10 * time.Millisecond) {
			return nil, fmt.Errorf("penstock lab %q: %v", args, &p.said)
		}
	}
	p.kill()
	return nil, fmt.Errorf("penstock lab %q says nothing of its address: %v", args, &p.said)
}

// stats returns the lab's record once nothing is under way there.
func (l *labProcess) stats(ctx context.Context) (s lab.Stats, err error) {
	for range 1000 {
		s, err = l.ask(ctx)
		done := s.Unanswered
		for _, n := range s.ByStatus {
			done += n
		}
		switch {
		case err == nil && s.Requests == done:
			return s, nil
		case err == nil:
			err = fmt.Errorf("%d requests do not end", s.Requests-done)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-l.exited:
			return s, fmt.Errorf("the lab has ended: %v", &l.said)
		case <-ctx.Done():
			return s, context.Cause(ctx)
		}
	}
	return s, err
}

func (l *labProcess) ask(ctx context.Context) (s lab.Stats, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+lab.StatsPath, nil)
	if err != nil {
		return s, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, errors.New(resp.Status)
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// hasJournal reports whether the program has said that it has its journal.
func (p *program) hasJournal() bool {
	return strings.Contains(p.said.String(),
		"penstock: journal ")
}

// journalOf asks the journal in dir what became of each file. Where the program that has ended says
// nothing of a journal there may be none, or half of one. A new one is made for the first file.
func journalOf(bin, dir string, p *program, files []*chaosFile) (map[*chaosFile]item.Fate, error) {
	if p != nil && !p.hasJournal() {
		return nil, nil
	}
	names, err := filepath.Glob(filepath.Join(dir, "state", "*.db"))
	isNew := p != nil && strings.Contains(p.said.String(), ".db: new\n")
	if err == nil && len(names) == 0 && isNew {
		return nil, nil
	}
	if err != nil || len(names) != 1 {
		return nil, fmt.Errorf("the journals are %q: %v", names, err)
	}
	cmd := exec.Command(bin, "journal", "export", names[0])
	var said bytes.Buffer
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("penstock journal export: %w: %v", err, &said)
	}
	return readItems(text, files, false)
}

// readItems reads lines of items, of which the last may be torn.
func readItems(text []byte, files []*chaosFile, torn bool) (map[*chaosFile]item.Fate, error) {
	known := map[string]*chaosFile{}
	for _, f := range files {
		known[filepath.FromSlash(f.path)] = f
	}
	items, seen := map[*chaosFile]item.Fate{}, map[string]bool{}
	for line := range bytes.Lines(text) {
		var it struct {
			Type string `json:"type"`
			results.Result
		}
		if err := json.Unmarshal(line, &it); err != nil {
			if torn && !bytes.HasSuffix(line, []byte("\n")) {
				break
			}
			return nil, err
		}
		f := known[it.Path]
		switch {
		case it.Type != "item":
			continue
		case f == nil:
			return nil, fmt.Errorf("%q is none of the files", it.Path)
		case seen[it.Path+" "+it.Key]: // with another key it is another item
			return nil, fmt.Errorf("%q comes twice", it.Path)
		}
		seen[it.Path+" "+it.Key] = true
		items[f] = it.Status
	}
	return items, nil
}
