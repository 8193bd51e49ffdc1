package throttle

import (
	"context"
	"flag"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/race"
	"golang.org/x/time/rate"
)

var sockets = flag.Bool("sockets", false, "run the middlewares on real sockets and the wall clock, to measure; nothing is asserted then")

// Rate limiters that servers written in Go have. Each allows 50 a second.
func TestMiddlewares(t *testing.T) {
	const quota = 50
	for _, tt := range []struct {
		name  string
		limit func() func(http.ResponseWriter) bool // reports whether a request is served
		told  Limits
		share float64 // of the quota from 10 s to 30 s, at least
	}{
		{"httprate", slidingCounter, Limits{}, .9},
		{"x-time-rate", tokenBucket, Limits{}, .8},
		{"x-time-rate, told", tokenBucket, Limits{Rate: quota}, .9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if *sockets {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
				}
				accepted, refused := middleware(t, l, dial, tt.limit(), tt.told, func() {})
				t.Logf("%.3f of the quota from 10 s to 30 s, %d refused in all; the goal is %v", float64(accepted)/20/quota, refused, tt.share)
				return
			}
			for seed := range race.Of(3) {
				synctest.Test(t, func(t *testing.T) {
					// A Unix time of the year 2000, when the bubble begins, is a delay
					// for all that a client knows.
					time.Sleep(time.Until(time.Unix(1_800_000_000, 300_000_000)))
					var mu sync.Mutex
					rnd := rand.New(rand.NewPCG(seed, 0))
					jitter := func() {
						mu.Lock()
						d := time.Duration(rnd.Int64N(int64(time.Millisecond)))
						mu.Unlock()
						time.Sleep(d)
					}
					l := memnet.Listen()
					accepted, refused := middleware(t, l, l.DialContext, tt.limit(), tt.told, jitter)
					if share := float64(accepted) / 20 / quota; share < tt.share {
						t.Errorf("seed %d: %.3f of the quota from 10 s to 30 s, %d refused in all; want at least %v", seed, share, refused, tt.share)
					}
				})
			}
		})
	}
}

// middleware sends to a server with that limit for 30 s, as fast as a Transport
// allows. It returns how many were accepted from 10 s on, and how many were refused
// at any time. The way there is a call of travel.
func middleware(t *testing.T, l net.Listener, dial func(context.Context, string, string) (net.Conn, error),
	limit func(http.ResponseWriter) bool, told Limits, travel func()) (accepted, refused int) {
	var mu sync.Mutex
	began := time.Now()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		travel()
		io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		if !limit(w) {
			refused++
			w.Header().Set("Retry-After", "1")
			http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
			return
		}
		if d := time.Since(began); d >= 10*time.Second && d < 30*time.Second {
			accepted++
		}
		w.WriteHeader(http.StatusCreated)
	})}
	go server.Serve(l)
	base := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 100}
	client := &http.Client{Transport: &Transport{Base: base, Limits: told}}
	ctx, cancel := context.WithDeadline(t.Context(), began.Add(30*time.Second))
	defer cancel()
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://a/", strings.NewReader("x"))
				if err != nil {
					t.Error(err)
					return
				}
				if resp, err := client.Do(req); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		})
	}
	workers.Wait()
	base.CloseIdleConnections()
	server.Close()
	time.Sleep(time.Second) // it lets what it closes linger for a while
	mu.Lock()
	defer mu.Unlock()
	return accepted, refused
}

// slidingCounter is 50 in 1 s as go-chi/httprate counts: of the window before, the
// part that a window that ends now still covers. It tells the end of the window
// on the clock.
func slidingCounter() func(http.ResponseWriter) bool {
	const limit, window = 50, time.Second
	var start time.Time
	var before, now float64
	return func(w http.ResponseWriter) bool {
		t := time.Now()
		switch current := t.Truncate(window); {
		case current.Sub(start) == window:
			start, before, now = current, now, 0
		case !current.Equal(start):
			start, before, now = current, 0, 0
		}
		left := limit - int(math.Round(before*float64(window-t.Sub(start))/float64(window)+now))
		ok := left > 0
		if ok {
			now++
			left--
		}
		h := w.Header()
		h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(left))
		h.Set("X-RateLimit-Reset", strconv.FormatInt(start.Add(window).Unix(), 10))
		return ok
	}
}

// tokenBucket is the usual middleware around golang.org/x/time/rate, without a burst.
func tokenBucket() func(http.ResponseWriter) bool {
	limiter := rate.NewLimiter(50, 1)
	return func(http.ResponseWriter) bool { return limiter.Allow() }
}
