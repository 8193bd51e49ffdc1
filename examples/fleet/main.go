// Fleet has three programs share one quota: it starts a Redis, a practice server that counts what
// comes from each, and three times penstock send with the same --quota-from. They send together
// what the quota allows, and when one is done the others send more. Where there is no redis-server
// it says so, and does nothing.
//
//	go run ./examples/fleet
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const quota = 100 // requests a second

// senders are how many files each has. The one with few is done while the others are at it.
var senders = map[string]int{"a": 150, "b": 250, "c": 250}

func main() {
	if _, err := exec.LookPath("redis-server"); err != nil {
		fmt.Println("there is no redis-server on the PATH, so nothing is shown:", err)
		return
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	penstock := filepath.Join(dir, "penstock")
	build := exec.Command("go", "build", "-o", penstock, "github.com/penstock/penstock/cmd/penstock")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	engine, stop, err := startRedis(dir)
	if err != nil {
		return err
	}
	defer stop()

	var j judge
	server := httptest.NewServer(&j)
	defer server.Close()
	var group sync.WaitGroup
	var failed sync.Map
	began := time.Now()
	for name, files := range senders {
		group.Go(func() {
			cmd := exec.Command(penstock, "send", "--quiet", "--no-journal", "--manifest", "-",
				"--to", server.URL+"/{key}", "-H", "X-Sender: "+name,
				"--quota-from", "redis://"+engine+"/0/partner", "--rps", fmt.Sprint(quota))
			cmd.Stdin, cmd.Stderr = strings.NewReader(lines(name, files)), os.Stderr
			if err := cmd.Run(); err != nil {
				failed.Store(name, err)
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	for name, err := range failed.Range {
		return fmt.Errorf("sender %s: %v", name, err)
	}
	return j.verdict(took)
}

// startRedis starts a Redis, and returns its address once it can be reached, and what ends it.
func startRedis(dir string) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", dir,
		"--save", "")
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for range 500 {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return addr, stop, conn.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("redis-server does not answer")
}

// lines are a manifest, with a line for each file.
func lines(name string, files int) string {
	var b strings.Builder
	for i := range files {
		fmt.Fprintf(&b, `{"key":"%s-%d","body":"content"}`+"\n", name, i)
	}
	return b.String()
}

// A judge is the practice server. It takes everything, and counts for each second who sent how
// much.
type judge struct {
	mu      sync.Mutex
	first   time.Time
	seconds []map[string]int
	total   int
}

func (j *judge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	if j.first.IsZero() {
		j.first = now
	}
	for second := int(now.Sub(j.first).Seconds()); len(j.seconds) <= second; {
		j.seconds = append(j.seconds, map[string]int{})
	}
	j.seconds[len(j.seconds)-1][r.Header.Get("X-Sender")]++
	j.total++
	w.WriteHeader(http.StatusCreated)
}

// verdict prints what came, and returns an error if that was too much or too little.
func (j *judge) verdict(took time.Duration) error {
	fmt.Printf("a quota of %d requests a second:\nsecond    a    b    c  sum\n", quota)
	for i, n := range j.seconds {
		fmt.Printf("%6d %4d %4d %4d %4d\n", i+1, n["a"], n["b"], n["c"], n["a"]+n["b"]+n["c"])
	}
	want := 0
	for _, files := range senders {
		want += files
	}
	if j.total != want {
		return fmt.Errorf("%d files came, of %d", j.total, want)
	}
	// A slot may be used up to 20 ms late, so a second may have two or three more.
	if float64(want) > quota*(took.Seconds()+0.5) {
		return fmt.Errorf("%d files came in %v: the quota was exceeded", want, took)
	}
	return nil
}
