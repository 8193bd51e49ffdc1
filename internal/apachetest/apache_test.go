package apachetest

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func put(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(b)
}

// The server is the judge of other tests, so it has to be seen to store what it was sent, and to note it.
func TestServer(t *testing.T) {
	s := Start(t, Config{Wait: 20 * time.Millisecond, CPU: time.Millisecond, Receipt: 5})
	for range 2 {
		if status, answer := put(t, s.URL+"/files/dir/a", "abc"); status != http.StatusCreated || answer != "rrrrr\n" {
			t.Fatalf("%d %q", status, answer)
		}
	}
	stored, err := s.Stored()
	if err != nil {
		t.Fatal(err)
	}
	want := Stored{Size: 3, SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Times: 2}
	if len(stored) != 1 || stored["dir/a"] != want {
		t.Errorf("stored %+v", stored)
	}
	s.Stop()
	log, err := s.Requests()
	if err != nil {
		t.Fatal(err)
	}
	uploads := 0
	for _, r := range log {
		if r.URI == "/files/dir/a" && r.Method == http.MethodPut && r.Status == http.StatusCreated && r.Length > 3 &&
			r.Answered.Sub(r.Arrived) >= 20*time.Millisecond {
			uploads++
		}
	}
	if uploads != 2 {
		t.Errorf("access log %+v", log)
	}
}

// Each kind of refusal that tests count on is real.
func TestServerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     Config
		want    int
		clients int
	}{
		"identity":       {Config{Wait: 200 * time.Millisecond, Limit: 2}, http.StatusTooManyRequests, 4},
		"backlog":        {Config{Wait: 2 * time.Second, Backlog: 2, ConnectTimeout: 1}, http.StatusServiceUnavailable, 20},
		"max connection": {Config{Receipt: 4096, Bandwidth: 8192, MaxConnection: 2}, http.StatusServiceUnavailable, 20},
	} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, c.cfg)
			var clients sync.WaitGroup
			var mu sync.Mutex
			got := map[int]int{}
			for range c.clients {
				clients.Go(func() {
					status, _ := put(t, s.URL+"/files/a", "abc")
					mu.Lock()
					defer mu.Unlock()
					got[status]++
				})
				time.Sleep(5 * time.Millisecond)
			}
			clients.Wait()
			if got[c.want] == 0 || got[http.StatusCreated] == 0 {
				t.Errorf("statuses %v, want some of %d and of 201", got, c.want)
			}
		})
	}
}
