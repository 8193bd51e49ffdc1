package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// A keeper is a server that honours idempotency keys: under one it accepts one request.
type keeper struct {
	mu   sync.Mutex
	keys map[string]map[string]bool // of each body
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	time.Sleep(rand.N(5 * time.Millisecond))
	name, _, _ := strings.Cut(string(body), " ")
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys[name] == nil {
		k.keys[name] = map[string]bool{}
	}
	k.keys[name][req.Header.Get("Idempotency-Key")] = true
}

func (k *keeper) has(name string) map[string]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[name]
}

// [stored] What was accepted with 202 is not lost when the relay is killed at any moment, and is
// sent under one key.
func TestStoredSurvivesKill(t *testing.T) {
	together(t, true)
	bin, err := penstock()
	test.OK(t, err)
	uploads := size(300, 1000)
	lost, twice, accepted, killed := 0, 0, 0, 0
	for round := range size(3, 50) {
		k := &keeper{keys: map[string]map[string]bool{}}
		s := httptest.NewServer(k)
		store := filepath.Join(t.TempDir(), fmt.Sprint(round))
		run := func() (*exec.Cmd, string, *firstLine) {
			cmd := exec.Command(bin, "relay", "--to", s.URL, "--listen", "127.0.0.1:0", "--store",
				store, "--async", "POST", "--idempotent")
			said := &firstLine{done: make(chan string, 1)}
			cmd.Stderr = said
			test.OK(t, cmd.Start())
			line := <-said.done
			url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(line)
			if url == "" {
				t.Fatalf("it says %q", line)
			}
			return cmd, url, said
		}
		relay, url, _ := run()
		var mu sync.Mutex
		var names []string // of what was accepted
		var next atomic.Int64
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				client := &http.Client{Transport: new(http.Transport)}
				defer client.CloseIdleConnections()
				for n := next.Add(1); n <= int64(uploads); n = next.Add(1) {
					name := fmt.Sprint(n)
					// Some have files of their own in the store.
					length := 1000
					if n%10 == 0 {
						length = 100_000
					}
					resp, err := client.Post(url, "text/plain",
						strings.NewReader(name+" "+strings.Repeat("x", length)))
					if err != nil {
						return // it was killed
					}
					resp.Body.Close()
					if resp.StatusCode != http.StatusAccepted {
						t.Errorf("upload %d: %s", n, resp.Status)
						return
					}
					mu.Lock()
					names = append(names, name)
					mu.Unlock()
				}
			})
		}
		time.Sleep(rand.N(time.Duration(uploads) * time.Millisecond))
		test.OK(t, relay.Process.Kill())
		_ = relay.Wait()
		group.Wait()
		if len(names) < uploads {
			killed++
		}
		relay, _, said := run()
		deadline := time.Now().Add(time.Minute)
		for _, name := range names {
			for k.has(name) == nil && time.Now().Before(deadline) {
				time.Sleep(5 * time.Millisecond)
			}
			switch len(k.has(name)) {
			case 0:
				lost++
			case 1:
			default:
				twice++
			}
		}
		accepted += len(names)
		test.OK(t, relay.Process.Signal(syscall.SIGTERM))
		if err := relay.Wait(); err != nil {
			t.Fatalf("%v, after saying:\n%s", err, said.text)
		}
		out, err := exec.Command(bin, "relay", "requests", "--store", store, "--state",
			"failed,unknown").CombinedOutput()
		if err != nil || !bytes.HasPrefix(out, []byte("no such requests")) {
			t.Errorf("not delivered: %v\n%s", err, out)
		}
		s.Close()
	}
	t.Logf("%d accepted, %d rounds cut short, %d lost, %d under two keys", accepted, killed, lost,
		twice)
	if lost+twice > 0 {
		t.Errorf("%d of %d lost, %d under two keys", lost, accepted, twice)
	}
}

// firstLine keeps what is written to it, and passes on the first line.
type firstLine struct {
	text []byte
	said bool
	done chan string
}

func (f *firstLine) Write(p []byte) (int, error) {
	f.text = append(f.text, p...)
	if !f.said {
		if line, _, ok := bytes.Cut(f.text, []byte("\n")); ok {
			f.done <- string(line)
			f.said = true
		}
	}
	return len(p), nil
}
