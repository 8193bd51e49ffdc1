package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// plain sends the files of dir as a plain client does that was told to keep n requests in flight,
// and returns how many were accepted in a second. What is refused it sends again after a moment.
func plain(t *testing.T, n int, url, dir string) float64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	defer client.CloseIdleConnections()
	names := make(chan string, len(entries))
	for _, e := range entries {
		names <- e.Name()
	}
	close(names)
	began := time.Now()
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			for name := range names {
				body, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Error(err)
					return
				}
				for !put(t, client, url+"/"+name, body) {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	workers.Wait()
	return float64(len(entries)) / time.Since(began).Seconds()
}

// put reports whether the body was accepted. When the test is over, all is.
func put(t *testing.T, client *http.Client, url string, body []byte) bool {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return true
	}
	resp, err := client.Do(req)
	if err != nil {
		return t.Context().Err() != nil
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode/100 == 2
}

// best is the most that a plain client can do at any of these numbers in flight, in files a second.
// Each has a server of its own, by start, until stop is called.
func best(t *testing.T, files int, bytes int, inFlight []int,
	start func() (url string, stop func())) float64 {
	t.Helper()
	dir := writeFiles(t, files, always(bytes))
	most := 0.0
	for _, n := range inFlight {
		url, stop := start()
		got := plain(t, n, url, dir)
		t.Logf("a plain client with %d in flight: %.3g/s", n, got)
		stop()
		most = max(most, got)
	}
	return most
}

// consumers ask for url every so often, whether or not they were answered before, until the func
// that is returned is called. That returns the 95th percentile of how long an answer took, and how
// many got none.
func consumers(t *testing.T, url string, every time.Duration) (p95 func() (time.Duration, int)) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var mu sync.Mutex
	var took []time.Duration
	refused := 0
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			all.Go(func() {
				began := time.Now()
				resp, err := client.Get(url)
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				mu.Lock()
				defer mu.Unlock()
				if err != nil || resp.StatusCode != http.StatusOK {
					refused++
				} else {
					took = append(took, time.Since(began))
				}
			})
		}
	})
	return func() (time.Duration, int) {
		close(stop)
		all.Wait()
		client.CloseIdleConnections()
		if len(took) == 0 {
			t.Error("no consumer was answered")
			return 0, refused
		}
		slices.Sort(took)
		return took[len(took)*95/100], refused
	}
}
