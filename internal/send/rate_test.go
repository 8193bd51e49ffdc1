package send

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// sharing reads all bodies at so many bytes a second together, and answers that long after each.
func sharing(bandwidth float64, delay time.Duration) http.HandlerFunc {
	var mu sync.Mutex
	var next time.Time
	return func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(b)
			mu.Lock()
			if now := time.Now(); next.Before(now) {
				next = now
			}
			next = next.Add(time.Duration(float64(n) / bandwidth * float64(time.Second)))
			until := next
			mu.Unlock()
			time.Sleep(time.Until(until))
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
		}
		time.Sleep(delay)
		w.WriteHeader(http.StatusCreated)
	}
}

// bucket takes so many requests a second, and asks those beyond them to wait.
func bucket(rate, burst float64, delay, wait time.Duration) http.HandlerFunc {
	var mu sync.Mutex
	tokens, last := burst, time.Time{}
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		now := time.Now()
		if !last.IsZero() {
			tokens = min(burst, tokens+now.Sub(last).Seconds()*rate)
		}
		last = now
		ok := tokens >= 1
		if ok {
			tokens--
		}
		mu.Unlock()
		time.Sleep(delay)
		if !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// The bytes of a file count as they arrive, and not once more when it ends.
func TestRateOfBytes(t *testing.T) {
	const bandwidth = 5 << 20
	for _, c := range []etaCase{
		{name: "equal files", sizes: files(5, 20<<20), serve: sharing(bandwidth, 0)},
		{name: "with a journal", sizes: files(5, 20<<20), serve: sharing(bandwidth, 0), journal: true},
		{name: "one at a time", sizes: files(8, 10<<20), serve: sharing(bandwidth, 0), journal: true},
		{name: "files that are followed, and others", sizes: append(files(4, 20<<20), files(60, 500<<10)...), serve: sharing(bandwidth, 0), journal: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen, _ := c.run(t)
			end := seen[len(seen)-1].Elapsed
			for _, s := range seen {
				if s.Elapsed < 3*time.Second || s.Elapsed > end-time.Second {
					continue
				}
				if off := math.Abs(s.BytesPerSecond/bandwidth - 1); off > 0.2 {
					t.Fatalf("after %v: %.1f MiB/s, the server reads 5.0; %d of %d files", s.Elapsed, s.BytesPerSecond/(1<<20), s.Delivered, s.Total)
				}
			}
		})
	}
}
