package nginxtest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func put(t *testing.T, client *http.Client, url string, body io.Reader) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// The server is the judge of other tests, so it has to be seen to store what it was sent, refuse what it should, and note both.
func TestServer(t *testing.T) {
	for name, cfg := range map[string]Config{
		"plain": {},
		"TLS":   {TLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, cfg)
			client, err := s.Client()
			if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, 3<<20+7)
			rand.NewChaCha8([32]byte{}).Read(body)
			if got := put(t, client, s.URL+"/dir/a", bytes.NewReader(body)); got != http.StatusCreated {
				t.Fatalf("status %d, want 201", got)
			}
			stored, err := os.ReadFile(filepath.Join(s.Files, "dir", "a"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(stored, body) {
				t.Fatalf("%d bytes stored, which are not the %d sent", len(stored), len(body))
			}
			s.Stop()
			s.Stop()
			log, err := s.Requests()
			if err != nil {
				t.Fatal(err)
			}
			if len(log) != 1 || log[0].Status != http.StatusCreated || log[0].Method != http.MethodPut || log[0].URI != "/dir/a" ||
				log[0].Length <= int64(len(body)) || log[0].Answered.Before(log[0].Arrived) {
				t.Fatalf("access log %+v", log)
			}
		})
	}
}

func TestServerRefuses(t *testing.T) {
	for cfg, want := range map[Config]int{
		{Rate: 1, Refusal: 429, RetryAfter: "7"}: 429,
		{Rate: 1, Refusal: 502}:                  502,
		{Rate: 1, RetryAfter: "7"}:               503,
	} {
		t.Run(fmt.Sprint(want), func(t *testing.T) { refuses(t, cfg, want) })
	}
}

func refuses(t *testing.T, cfg Config, want int) {
	s := Start(t, cfg)
	client, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	if got := put(t, client, s.URL+"/first", bytes.NewReader([]byte("x"))); got != http.StatusCreated {
		t.Fatalf("status %d, want 201", got)
	}
	resp, err := client.Get(s.URL + "/first")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != want || resp.Header.Get("Retry-After") != cfg.RetryAfter {
		t.Fatalf("%s, Retry-After %q; want %d and %q", resp.Status, resp.Header.Get("Retry-After"), want, cfg.RetryAfter)
	}
}

// What it passes on it passes on whole; a server that takes too long is answered for.
func TestServerProxies(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "x" {
			t.Errorf("body %q, %v", body, err)
		}
		if r.URL.Path == "/slow" {
			time.Sleep(500 * time.Millisecond)
		}
	}))
	defer slow.Close()
	s := Start(t, Config{Proxy: slow.URL, ProxyTimeout: 100 * time.Millisecond})
	client, err := s.Client()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/quick": http.StatusOK, "/slow": http.StatusGatewayTimeout} {
		if got := put(t, client, s.URL+path, bytes.NewReader([]byte("x"))); got != want {
			t.Errorf("%s: status %d, want %d", path, got, want)
		}
	}
}
