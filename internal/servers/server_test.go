package servers

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// The servers are the judges of other tests, so each has to be seen to store what it was sent, to
// refuse what it should, and to log both.

// put sends body with PUT and returns how it was answered.
func put(
	t *testing.T, client *http.Client, url string, body []byte,
) (resp *http.Response, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return &http.Response{}, ""
	}
	resp, err = client.Do(req)
	if err != nil {
		t.Error(err)
		return &http.Response{}, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	test.Check(t, err)
	return resp, string(b)
}

// uploaded stops the server and returns how many uploads to uri its log has that were accepted, of
// at least size bytes and lasting at least as long as given.
func uploaded(t *testing.T, s *Server, uri string, size int, lasted time.Duration) (n int) {
	t.Helper()
	s.Stop()
	s.Stop()
	log, err := s.Requests()
	test.OK(t, err)
	for _, r := range log {
		if r.URI == uri && r.Method == http.MethodPut && r.Status == http.StatusCreated &&
			r.Length > int64(size) && r.Answered.Sub(r.Arrived) >= lasted {
			n++
		}
	}
	return n
}

func TestNginx(t *testing.T) {
	for name, cfg := range map[string]NginxConfig{"plain": {}, "TLS": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			s := StartNginx(t, cfg)
			body := make([]byte, 3<<20+7)
			rand.NewChaCha8([32]byte{}).Read(body)
			resp, _ := put(t, s.client, s.URL+"/dir/a", body)
			if resp.StatusCode != http.StatusCreated {
				t.Fatalf("%s, want 201", resp.Status)
			}
			stored, err := os.ReadFile(filepath.Join(s.Files, "dir", "a"))
			if err != nil || !bytes.Equal(stored, body) {
				t.Fatalf("%d bytes stored, which are not the %d sent: %v", len(stored), len(body),
					err)
			}
			if n := uploaded(t, &s.Server, "/dir/a", len(body), 0); n != 1 {
				t.Errorf("%d uploads in the log, want 1", n)
			}
		})
	}
}

func TestNginxRefuses(t *testing.T) {
	for cfg, want := range map[NginxConfig]int{
		{Rate: 1, Refusal: 429, RetryAfter: "7"}: 429,
		{Rate: 1, Refusal: 502}:                  502,
		{Rate: 1, RetryAfter: "7"}:               503,
	} {
		s := StartNginx(t, cfg)
		first, _ := put(t, s.client, s.URL+"/a", []byte("x"))
		second, _ := put(t, s.client, s.URL+"/a", []byte("x"))
		after := second.Header.Get("Retry-After")
		if first.StatusCode != http.StatusCreated || second.StatusCode != want ||
			after != cfg.RetryAfter {
			t.Errorf("%+v: %s, then %s with Retry-After %q", cfg, first.Status, second.Status,
				after)
		}
	}
}

// What it passes on it passes on whole; a server that takes too long is answered for.
func TestNginxProxies(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "x" {
			t.Errorf("body %q, %v", body, err)
		}
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
	}))
	defer slow.Close()
	s := StartNginx(t, NginxConfig{Proxy: slow.URL, ProxyTimeout: 100 * time.Millisecond})
	for path, want := range map[string]int{"/quick": 200, "/slow": 504} {
		if resp, _ := put(t, s.client, s.URL+path, []byte("x")); resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
}

func TestApache(t *testing.T) {
	s := StartApache(t, ApacheConfig{Wait: 20 * time.Millisecond, CPU: time.Millisecond,
		Receipt: 5})
	for range 2 {
		resp, text := put(t, http.DefaultClient, s.URL+"/files/dir/a", []byte("abc"))
		if resp.StatusCode != http.StatusCreated || text != "rrrrr\n" {
			t.Fatalf("%s %q", resp.Status, text)
		}
	}
	stored, err := s.Stored()
	test.OK(t, err)
	want := Stored{
		Size: 3, Times: 2,
		SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	}
	if len(stored) != 1 || stored["dir/a"] != want {
		t.Errorf("stored %+v", stored)
	}
	if n := uploaded(t, &s.Server, "/files/dir/a", 3, 20*time.Millisecond); n != 2 {
		t.Errorf("%d uploads in the log, want 2", n)
	}
}

// Each kind of refusal that tests count on is real.
func TestApacheRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     ApacheConfig
		want    int
		clients int
	}{
		"identity": {ApacheConfig{Wait: 200 * time.Millisecond, Limit: 2}, 429, 4},
		"backlog": {ApacheConfig{Wait: 2 * time.Second, Backlog: 2, ConnectTimeout: 1},
			503, 20},
		"max connection": {ApacheConfig{Receipt: 4096, Bandwidth: 8192, MaxConnection: 2}, 503, 20},
	} {
		t.Run(name, func(t *testing.T) {
			s := StartApache(t, c.cfg)
			var clients sync.WaitGroup
			var mu sync.Mutex
			got := map[int]int{}
			for range c.clients {
				clients.Go(func() {
					resp, _ := put(t, http.DefaultClient, s.URL+"/files/a", []byte("abc"))
					mu.Lock()
					defer mu.Unlock()
					got[resp.StatusCode]++
				})
				time.Sleep(5 * time.Millisecond) // so that they come one after the other
			}
			clients.Wait()
			if got[c.want] == 0 || got[http.StatusCreated] == 0 {
				t.Errorf("statuses %v, want some of %d and of 201", got, c.want)
			}
		})
	}
}
