package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/servers"
	"github.com/penstock/penstock/internal/test"
)

// startRelay runs `penstock relay` until the test ends, and returns its URL.
func startRelay(t *testing.T, to string, args ...string) string {
	t.Helper()
	bin, err := penstock()
	test.OK(t, err)
	args = append([]string{"relay", "--to", to, "--listen", "127.0.0.1:0", "--store", "none"},
		args...)
	cmd := exec.Command(bin, args...)
	stderr, err := cmd.StderrPipe()
	test.OK(t, err)
	var summary strings.Builder
	cmd.Stdout = &summary
	test.OK(t, cmd.Start())
	lines := bufio.NewReader(stderr)
	first, err := lines.ReadString('\n')
	test.OK(t, err)
	said := make(chan string)
	go func() {
		rest, _ := io.ReadAll(lines)
		said <- string(rest)
	}()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		rest := <-said
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, rest)
		}
		t.Logf("%s%s%s", first, rest, summary.String())
	})
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(first)
	if url == "" {
		t.Fatalf("it says %q", first)
	}
	return url
}

// puts is a program as many are: 20 threads, and no waiting.
const puts = `
import sys, os, threading, http.client, urllib.parse
base, names = urllib.parse.urlparse(sys.argv[1]), sys.argv[2:]
lost, lock = [], threading.Lock()
def work():
    conn = http.client.HTTPConnection(base.netloc)
    while True:
        with lock:
            if not names: return
            name = names.pop()
        with open(name, "rb") as f:
            conn.request("PUT", "/" + os.path.basename(name), body=f.read())
        answer = conn.getresponse()
        answer.read()
        if answer.status >= 300:
            with lock: lost.append(name)
threads = [threading.Thread(target=work) for _ in range(20)]
for t in threads: t.start()
for t in threads: t.join()
print(len(lost))
`

// A program that loses files against a limited server loses none through the relay, with another
// address and no other change.
func TestRelayForPrograms(t *testing.T) {
	together(t, true)
	for name, program := range map[string]func(dir, url string) *exec.Cmd{
		"python": func(dir, url string) *exec.Cmd {
			names, err := filepath.Glob(filepath.Join(dir, "*"))
			test.OK(t, err)
			return exec.Command("python3", append([]string{"-c", puts, url}, names...)...)
		},
		"curl": func(dir, url string) *exec.Cmd {
			cmd := exec.Command("sh", "-c", `ls | xargs -P 20 -I{} sh -c `+
				`'curl -sf -o /dev/null -T {} "$0/{}" || echo {}' "$0" | wc -l`, url)
			cmd.Dir = dir
			return cmd
		},
	} {
		for _, refusal := range []int{503, 429} {
			t.Run(fmt.Sprintf("%s, %d", name, refusal), func(t *testing.T) {
				t.Parallel()
				tool := map[string]string{"python": "python3"}[name]
				if tool == "" {
					tool = name
				}
				if _, err := exec.LookPath(tool); err != nil {
					t.Skip(err)
				}
				dir := writeFiles(t, 100, always(1000))
				run := func(url string) (lost int) {
					cmd := program(dir, url)
					cmd.Stderr = os.Stderr
					out, err := cmd.Output()
					test.OK(t, err)
					if _, err := fmt.Sscan(string(out), &lost); err != nil {
						t.Fatalf("%v: %q", err, out)
					}
					return lost
				}
				cfg := servers.NginxConfig{Rate: 50, Burst: 2, Refusal: refusal}
				s := servers.StartNginx(t, cfg)
				if lost := run(s.URL); lost == 0 {
					t.Error("it loses nothing without the relay")
				}
				s = servers.StartNginx(t, cfg)
				if lost := run(startRelay(t, s.URL)); lost != 0 {
					t.Errorf("%d of 100 files are lost", lost)
				}
				if n := stored(t, s, dir); n != 100 {
					t.Errorf("%d of 100 files are there", n)
				}
			})
		}
	}
}

// Several programs share what a server takes, and see no refusal.
func TestRelayShares(t *testing.T) {
	for _, refusal := range []int{503, 429} {
		t.Run(fmt.Sprint(refusal), func(t *testing.T) {
			together(t, true)
			s := servers.StartNginx(t, servers.NginxConfig{Rate: 50, Burst: 5, Refusal: refusal})
			url := startRelay(t, s.URL)
			const clients = 4
			each := size(30, 1000)
			began := time.Now()
			var group sync.WaitGroup
			for c := range clients {
				todo := make(chan int, each)
				for i := range each {
					todo <- i
				}
				close(todo)
				for range 20 * (c + 1) {
					group.Go(func() {
						for i := range todo {
							relayPut(t, url, fmt.Sprintf("client%d", c), i)
						}
					})
				}
			}
			group.Wait()
			from, to := began.Add(20*time.Second), time.Now()
			s.Stop() // the last lines of its log are there then
			log, err := s.Requests()
			test.OK(t, err)
			accepted, refused, late, shares := 0, 0, 0, [clients]int{}
			for _, r := range log {
				if r.Status >= 300 {
					refused++
					continue
				}
				accepted++
				if r.Answered.Before(from) {
					continue
				}
				late++
				var c int
				if _, err := fmt.Sscanf(r.URI, "/client%d-", &c); err == nil {
					shares[c]++
				}
			}
			if accepted != clients*each {
				t.Errorf("%d of %d were accepted", accepted, clients*each)
			}
			span := to.Sub(from).Seconds()
			t.Logf("%d accepted, %d refused (%.1f %%); from 20 s on %.1f/s, by client %v",
				accepted, refused, 100*float64(refused)/float64(len(log)),
				float64(late)/max(span, 1), shares)
		})
	}
}

// relayPut sends a small file, and fails the test if that is refused.
func relayPut(t *testing.T, url, client string, i int) {
	body := strings.NewReader("x")
	req, err := http.NewRequestWithContext(t.Context(), "PUT",
		fmt.Sprintf("%s/%s-%d", url, client, i), body)
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("X-Penstock-Client", client)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Errorf("%s sees %d", client, resp.StatusCode)
	}
}
