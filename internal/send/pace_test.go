package send

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/throttle"
)

// With answers that take seconds the pool has to grow to many times the size
// that it begins with.
func TestPoolGrowsUntilNoTokenIsLate(t *testing.T) {
	const rate, files = 50, 1000
	var seen instants
	onFakeTime(t, files, func(w http.ResponseWriter, r *http.Request) {
		seen.add()
		accept(w, r, 3*time.Second)
	}, func(w *world) {
		w.Limits = throttle.Limits{Rate: rate, InFlight: 256}
		s := w.run()
		w.ended(s, exit.Delivered, files, 0, 0, 0, 0)
		from := w.begin.Add(4 * time.Second)
		if n := seen.within(from, from.Add(15*time.Second)); n < rate*15*99/100 {
			t.Errorf("%d requests in 15 s, want %d a second", n, rate)
		}
		if lost := w.since() - (files-1)*time.Second/rate - 3*time.Second; lost > 100*time.Millisecond {
			t.Errorf("the beginning cost %v", lost)
		}
		if s.InFlight.Max < 3*rate || s.InFlight.Max > 3*rate+2 {
			t.Errorf("at most %d in flight, want %d", s.InFlight.Max, 3*rate)
		}
		for _, snap := range w.watch.snapshots {
			if workers := snap.InFlight + snap.Waiting; workers > 230 { // of 150 that are needed, grown by a half
				t.Fatalf("%d workers after %v", workers, snap.Elapsed)
			}
		}
	})
}

func TestPoolStaysWithinConcurrency(t *testing.T) {
	onFakeTime(t, 200, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 3*time.Second) }, func(w *world) {
		w.Limits = throttle.Limits{Rate: 50, InFlight: 20}
		s := w.run()
		w.ended(s, exit.Delivered, 200, 0, 0, 0, 0)
		if s.InFlight.Max != 20 {
			t.Errorf("at most %d in flight, want 20", s.InFlight.Max)
		}
		for _, snap := range w.watch.snapshots {
			if workers := snap.InFlight + snap.Waiting; workers > 22 { // one who just left may be counted twice
				t.Fatalf("%d workers after %v", workers, snap.Elapsed)
			}
		}
		if s.Waited.Concurrency < s.Waited.Rate {
			t.Errorf("waited for %+v, want mostly concurrency", s.Waited)
		}
	})
}

func TestWorkersAreALimit(t *testing.T) {
	onFakeTime(t, 20, func(w http.ResponseWriter, r *http.Request) { accept(w, r, time.Second) }, func(w *world) {
		w.Limits = throttle.Limits{Rate: 50, InFlight: 256}
		w.Workers = 2
		s := w.run()
		w.ended(s, exit.Delivered, 20, 0, 0, 0, 0)
		if s.InFlight.Max != 2 || s.Waited.Concurrency < 9 || w.watch.snapshots[10].Holding != "held by your --workers 2" {
			t.Errorf("at most %d in flight, %+v, held back by %q", s.InFlight.Max, s.Waited, w.watch.holding())
		}
	})
}

func TestPoolGrowsFor(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*run)
		stats throttle.UpstreamStats
		grows bool
	}{
		{"a token that nobody waits for", nil, throttle.UpstreamStats{}, true},
		{"a token that nobody waited for", nil, throttle.UpstreamStats{Waiting: 1, Unclaimed: 1}, true},
		{"no other", nil, throttle.UpstreamStats{Waiting: 1}, false},
		{"none that was late before it grew last", func(r *run) { r.grew = true }, throttle.UpstreamStats{Waiting: 1, Unclaimed: 1}, false},
		{"no server that takes nothing", func(r *run) {
			r.servers.Of("http://h").Judged(upstream.Answer{Status: http.StatusServiceUnavailable, Full: true}, time.Now())
		}, throttle.UpstreamStats{}, false},
		{"no line that is full", nil, throttle.UpstreamStats{Holding: throttle.ByBandwidth}, false},
		{"no reason when told how large it is", func(r *run) { r.Workers = 2 }, throttle.UpstreamStats{}, false},
		{"no reason without work", func(r *run) { r.pool = pool.New(1, r.item) }, throttle.UpstreamStats{}, false},
		{"those that wait for their next attempt", func(r *run) { r.backoff = 3 }, throttle.UpstreamStats{Waiting: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFakeTime(t, 0, nil, func(w *world) {
				w.Limits.Rate = 1
				r := newRun(w.Options)
				begin, idle := r.grown, r.pool
				done := make(chan struct{})
				busy := pool.New(1, func(context.Context, *job) error { <-done; return nil })
				r.pool = busy
				for range 2 { // one at work and one that waits
					_ = busy.Submit(w.Context(), &job{})
				}
				if c.edit != nil {
					c.edit(r)
				}
				r.grow(upstream.Overview{UpstreamStats: c.stats})
				if grows := r.grown > begin; grows != c.grows {
					t.Errorf("from %d to %d", begin, r.grown)
				}
				close(done)
				for _, p := range []*pool.Pool[*job]{idle, busy, r.pool} {
					_ = p.Drain(w.Context())
				}
			})
		})
	}
}

// [waiting] One answer stops everybody, for as long as it asks.
func TestPauseSendsNothingAndSaysSo(t *testing.T) {
	var seen instants
	var n atomic.Int64
	var refused time.Time
	onFakeTime(t, 40, func(w http.ResponseWriter, r *http.Request) {
		seen.add()
		if n.Add(1) == 10 {
			refused = time.Now()
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		s := w.run()
		w.ended(s, exit.Delivered, 40, 0, 0, 0, 0)
		if want := w.begin.Add(900 * time.Millisecond); !refused.Equal(want) {
			t.Fatalf("refused at %v, want %v", refused, want)
		}
		end := refused.Add(30 * time.Second)
		if n := seen.within(refused.Add(1), end); n != 0 {
			t.Errorf("%d requests during the pause", n)
		}
		if n := seen.within(end, end.Add(time.Second)); n == 0 || n > 11 {
			t.Errorf("%d requests in the second after the pause", n)
		}
		if want := 30.0; s.Waited.CoolDown < want-0.1 || s.Waited.CoolDown > want+0.1 {
			t.Errorf("%v s of cool-down", s.Waited.CoolDown)
		}
		for _, snap := range w.watch.snapshots {
			at := w.begin.Add(snap.Elapsed)
			paused := at.After(refused) && at.Before(end)
			if (snap.Limit == progress.LimitCoolDown) != paused {
				t.Fatalf("%v after the start the limit is %q", snap.Elapsed, snap.Limit)
			}
			if wait := end.Sub(at); paused && (snap.Pause != wait || snap.Holding != fmt.Sprintf("paused %d s: Retry-After", int(math.Ceil(wait.Seconds())))) {
				t.Fatalf("%v before its end the pause is %v, %q", wait, snap.Pause, snap.Holding)
			}
		}
		if talk := w.watch.talk.String(); strings.Count(talk, "http://127.0.0.1 asked us to wait 30 s (Retry-After); paused until") != 1 {
			t.Errorf("it says %s", talk)
		}
	})
}

// A pause is one server's own: others go on, though their items come between
// those that wait.
func TestPauseHoldsUpNoOtherServer(t *testing.T) {
	const each = 40
	var seen instants
	var n atomic.Int64
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "127.0.0.2" {
			seen.add()
		} else if n.Add(1) == 1 {
			w.Header().Set("Retry-After", "100")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		var lines strings.Builder
		for i := range each {
			for host := range 2 {
				fmt.Fprintf(&lines, "{\"path\":%q,\"url\":\"http://127.0.0.%d/%d\"}\n", w.firstFile(), host+1, i)
			}
		}
		w.manifest(lines.String())
		w.Limits.InFlight = 4
		w.ended(w.run(), exit.Delivered, 2*each, 0, 0, 0, 0)
		if n := seen.within(w.begin, w.begin.Add(3*time.Second)); n != each {
			t.Errorf("%d of %d requests while the other server pauses", n, each)
		}
		if w.since() < 100*time.Second {
			t.Errorf("over after %v", w.since())
		}
	})
}

// A server that asks for a second each second does not fill the log.
func TestPausesAreToldOnceInAWhile(t *testing.T) {
	var n atomic.Int64
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) <= 20 {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
		told := strings.Count(w.watch.talk.String(), "level=INFO msg=\"http://127.0.0.1 asked us")
		if most := int(w.since()/upstream.NoticeEvery) + 1; told < 2 || told > most {
			t.Errorf("told %d times in %v", told, w.since())
		}
	})
}

// [give up] A server that accepts nothing ends the run, and it says why.
func TestGiveUp(t *testing.T) {
	onFakeTime(t, 20, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, func(w *world) {
		w.Limits = throttle.Limits{Rate: 100, InFlight: 256}
		w.GiveUpAfter = 90 * time.Second
		s := w.run()
		w.ended(s, exit.Unavailable, 0, 0, 0, s.Items.Deferred, 20-s.Items.Deferred)
		if got, want := w.since(), 90*time.Second+tick; got != want {
			t.Errorf("ended after %v, want %v", got, want)
		}
		if got, want := s.Notes, "nothing was accepted for 1 m 30 s (--give-up-after): 503 Service Unavailable; try again later"; len(got) != 1 || got[0] != want {
			t.Errorf("notes %q", got)
		}
		if text := errorsOf(s); !strings.Contains(text, "deferred: PUT http://127.0.0.1/000") || strings.Count(text, "nothing was accepted") != 1 {
			t.Errorf("it says %s", text)
		}
	})
}

// What the server asks for it gets, once: what comes after it has to be accepted.
func TestGiveUpIsPatientWhenAsked(t *testing.T) {
	asks := func(statuses ...int) http.HandlerFunc {
		var n atomic.Int64
		return func(w http.ResponseWriter, r *http.Request) {
			if i := int(n.Add(1)); i <= len(statuses) {
				if status := statuses[i-1]; status == http.StatusServiceUnavailable {
					w.Header().Set("Retry-After", "50")
				}
				w.WriteHeader(statuses[i-1])
				return
			}
			accept(w, r, 0)
		}
	}
	const again = http.StatusServiceUnavailable
	t.Run("once", func(t *testing.T) {
		onFakeTime(t, 5, asks(again, 201, again, 201, again), func(w *world) {
			w.Limits.InFlight = 1
			w.GiveUpAfter = 10 * time.Second
			w.ended(w.run(), exit.Delivered, 5, 0, 0, 0, 0)
			if w.since() < 150*time.Second {
				t.Errorf("over after %v", w.since())
			}
		})
	})
	t.Run("again", func(t *testing.T) {
		onFakeTime(t, 5, asks(again, again, again, again, again, again), func(w *world) {
			w.Limits.InFlight = 1
			w.GiveUpAfter = 80 * time.Second
			s := w.run()
			w.ended(s, exit.Unavailable, 0, 0, 0, s.Items.Deferred, 5-s.Items.Deferred)
			if got, want := w.since(), 100*time.Second+tick; got != want {
				t.Errorf("over after %v, want %v", got, want)
			}
			want := "nothing was accepted for 1 m 20 s (--give-up-after): 503 Service Unavailable; the server asked us to wait until " +
				w.begin.Add(150*time.Second).Format(time.RFC3339)
			if len(s.Notes) != 1 || s.Notes[0] != want {
				t.Errorf("notes %q, want %q", s.Notes, want)
			}
		})
	})
}

// The connections that are there before a pause may be dead after it. Whoever is
// sent first then is sent once more, and holds nobody up.
func TestConnectionsDieDuringPauses(t *testing.T) {
	const pauses = 10
	var n atomic.Int64
	onFakeTime(t, 2*pauses, func(w http.ResponseWriter, r *http.Request) {
		if i := n.Add(1); i <= 2*pauses && i%2 == 1 {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		w.Network.StallTimeout = time.Minute
		w.ended(w.run(), exit.Delivered, 2*pauses, 0, 0, 0, 0)
		if late := w.since() - pauses*time.Minute; late < 0 || late > 30*time.Second {
			t.Errorf("over after %v", w.since())
		}
	})
}

// The longest pause of one's own is as long as --stall-timeout. No connection ends by that just when a
// request goes on it: before, the idle ones are closed.
func TestIdleConnectionsDoNotStall(t *testing.T) {
	var n atomic.Int64
	onFakeTime(t, 10, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		w.Network.StallTimeout = time.Minute
		var open atomic.Int64
		open.Store(-1)
		time.AfterFunc(55*time.Second, func() { open.Store(w.conns.Load()) })
		w.ended(w.run(), exit.Delivered, 10, 0, 0, 0, 0)
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are open in the pause", n)
		}
	})
}

// Servers that never accept, each in a way of its own. The run stays polite and
// ends when the user said.
func TestGiveUpOnAServerThat(t *testing.T) {
	answer := func(status int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
		}
	}
	var turn atomic.Int64
	for i, c := range []struct {
		name    string
		handler http.HandlerFunc
		most    int // requests
	}{
		{"asks for a second each time", answer(429, "Retry-After", "1"), 250},
		{"asks for a second and is down", answer(503, "Retry-After", "1"), 250},
		{"throttles", answer(429), 250},
		{"is overloaded", answer(503), 50},
		{"times out", answer(504), 50},
		{"asks for less than nothing", answer(429, "Retry-After", "-5"), 250},
		{"asks for what is over", answer(429, "Retry-After", "Wed, 01 Jan 1997 00:00:00 GMT"), 250},
		{"contradicts itself", answer(429, "RateLimit", `"q";r=100;t=0`, "RateLimit-Policy", `"q";q=100;w=1`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "3"), 250},
		{"asks for a year", answer(429, "Retry-After", "31536000"), 2},
		{"hangs", func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Minute) }, 50},
		{"resets", func(w http.ResponseWriter, r *http.Request) { hijacked(w, "", (*memnet.Conn).Reset) }, 50},
		{"changes its mind wildly", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", []string{"1", "300", "0", "-1", "2", "soon", "9999999999999999999", "30"}[turn.Add(1)%8])
			w.WriteHeader(429)
		}, 250},
	} {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, i)
			var seen instants
			onFakeTime(t, 300, func(w http.ResponseWriter, r *http.Request) {
				seen.add()
				c.handler(w, r)
			}, func(w *world) {
				w.GiveUpAfter, w.MaxWait = 3*time.Minute, time.Hour
				s := w.run()
				if s.ExitStatus != exit.Unavailable || s.Items.Delivered+s.Items.Failed > 0 {
					t.Errorf("exit status %d, %+v\n%s", s.ExitStatus, s.Items, errorsOf(s))
				}
				if w.since() > 9*time.Minute {
					t.Errorf("over after %v", w.since())
				}
				if n := len(seen.at); n > c.most {
					t.Errorf("%d requests in %v, want at most %d", n, w.since(), c.most)
				}
				if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "try again later") && !strings.Contains(s.Notes[0], "wait until 2000-") {
					t.Errorf("notes %q", s.Notes)
				}
			})
		})
	}
}

// [give up] A longer wait than the user allows ends the run at once.
func TestMaxWait(t *testing.T) {
	onFakeTime(t, 5, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "61")
		w.WriteHeader(http.StatusTooManyRequests)
	}, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.MaxWait = time.Minute
		s := w.run()
		w.ended(s, exit.Unavailable, 0, 0, 0, 1, 4)
		if w.since() != 0 {
			t.Errorf("ended after %v", w.since())
		}
		want := "the server asked us to wait until " + w.begin.Add(61*time.Second).Format(time.RFC3339) + ", longer than --max-wait 1 m"
		if len(s.Notes) != 1 || s.Notes[0] != want {
			t.Errorf("notes %q, want %q", s.Notes, want)
		}
	})
}

// A pause of our own, which grows while a server only says 429, is nothing that
// the server asks for.
func TestMaxWaitIsForWhatIsAsked(t *testing.T) {
	onFakeTime(t, 5, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, func(w *world) {
		w.MaxWait, w.GiveUpAfter = 2*time.Second, time.Minute
		s := w.run()
		if want := "nothing was accepted for 1 m (--give-up-after): 429 Too Many Requests; try again later"; s.ExitStatus != exit.Unavailable ||
			len(s.Notes) != 1 || s.Notes[0] != want {
			t.Errorf("exit status %d, notes %q, want %q", s.ExitStatus, s.Notes, want)
		}
	})
}

func TestMaxDuration(t *testing.T) {
	var seen instants
	onFakeTime(t, 100, func(w http.ResponseWriter, r *http.Request) {
		seen.add()
		accept(w, r, 3*time.Second)
	}, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.MaxDuration = 2050 * time.Millisecond
		s := w.run()
		w.ended(s, exit.Limit, 21, 0, 0, 0, 79)
		if got := w.since(); got != 5*time.Second {
			t.Errorf("ended after %v: what was in flight takes until 5 s", got)
		}
		if n := seen.within(w.begin.Add(w.MaxDuration), time.Now()); n != 0 {
			t.Errorf("%d requests after the end", n)
		}
		if last := w.watch.holding(); last[len(last)-1] != "nothing new is sent: --max-duration 2.05 s is over" {
			t.Errorf("held back by %q", last)
		}
	})
}

// [stop] The first interrupt sends nothing new; the second breaks off what is in flight.
func TestInterrupt(t *testing.T) {
	var seen instants
	slow := func(w http.ResponseWriter, r *http.Request) {
		seen.add()
		accept(w, r, 3*time.Second)
	}
	interrupted := &exit.Signal{Signal: os.Interrupt}
	t.Run("once", func(t *testing.T) {
		onFakeTime(t, 100, slow, func(w *world) {
			w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
			soft, stop := context.WithCancelCause(context.Background())
			time.AfterFunc(1050*time.Millisecond, func() { stop(interrupted) })
			s := w.runUntil(context.Background(), soft)
			w.ended(s, exit.Interrupted, 11, 0, 0, 0, 89)
			if got := w.since(); got != 4*time.Second {
				t.Errorf("ended after %v: what was in flight takes until 4 s", got)
			}
			if talk := w.watch.talk.String(); !strings.Contains(talk, "interrupted: sending nothing new, 11 in flight may finish; a second Ctrl-C ends at once") {
				t.Errorf("it says %s", talk)
			}
			if len(s.Notes) != 0 || len(s.Errors) != 0 {
				t.Errorf("it says %s", errorsOf(s))
			}
		})
	})
	t.Run("twice", func(t *testing.T) {
		onFakeTime(t, 100, slow, func(w *world) {
			w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
			ctx, breakOff := context.WithCancelCause(context.Background())
			soft, stop := context.WithCancelCause(ctx)
			time.AfterFunc(1050*time.Millisecond, func() { stop(interrupted) })
			time.AfterFunc(2*time.Second, func() { breakOff(interrupted) })
			s := w.runUntil(ctx, soft)
			w.ended(s, exit.Interrupted, 0, 0, 0, 11, 89)
			if got := w.since(); got != 2*time.Second {
				t.Errorf("ended after %v", got)
			}
			if len(s.Errors) != 1 || s.Errors[0].Count != 11 || !strings.HasSuffix(errorsOf(s), ": interrupted\n") {
				t.Errorf("it says %q", errorsOf(s))
			}
		})
	})
	t.Run("at once", func(t *testing.T) {
		onFakeTime(t, 10, slow, func(w *world) {
			ctx, breakOff := context.WithCancelCause(context.Background())
			breakOff(interrupted)
			w.ended(w.runUntil(ctx, ctx), exit.Interrupted, 0, 0, 0, 0, 10)
		})
	})
	t.Run("posts", func(t *testing.T) {
		onFakeTime(t, 3, slow, func(w *world) {
			w.method(http.MethodPost)
			w.Limits.InFlight = 1
			ctx, breakOff := context.WithCancelCause(context.Background())
			time.AfterFunc(time.Second, func() { breakOff(interrupted) })
			w.ended(w.runUntil(ctx, ctx), exit.Interrupted, 0, 0, 1, 0, 2)
		})
	})
}

// A server that is down is named as what holds the run back, and its outage
// costs nothing but time.
func TestServerDown(t *testing.T) {
	onFakeTime(t, 300, func(w http.ResponseWriter, r *http.Request) { accept(w, r, 0) }, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		time.AfterFunc(5*time.Second, func() { w.net.Refuse(true) })
		time.AfterFunc(25*time.Second, func() { w.net.Refuse(false) })
		// A connection for each request, so that the outage is seen.
		w.Header = http.Header{"Connection": {"close"}}
		s := w.run()
		w.ended(s, exit.Delivered, 300, 0, 0, 0, 0)
		if s.Waited.Down < 17 || s.Waited.Down > 40 {
			t.Errorf("%v s of 20 down", s.Waited.Down)
		}
		for _, snap := range w.watch.snapshots {
			if snap.Limit == progress.LimitDown && snap.Elapsed < 5*time.Second {
				t.Fatalf("said to be down after %v", snap.Elapsed)
			}
		}
		at := w.watch.snapshots[int(15*time.Second/tick)]
		if at.Limit != progress.LimitDown || !strings.HasPrefix(at.Holding, "server down (connection refused): next try within ") {
			t.Errorf("in the middle of it, held back by %q, %q", at.Limit, at.Holding)
		}
		if refused := s.Requests.Overloaded; refused > 10 {
			t.Errorf("%d requests to a server that was down for 20 s", refused)
		}
	})
}

// One refusal and then silence, while slow answers are awaited, is no outage.
func TestServerSlow(t *testing.T) {
	var n atomic.Int64
	onFakeTime(t, 8, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		accept(w, r, 10*time.Second)
	}, func(w *world) {
		w.Limits.InFlight = 4
		w.ended(w.run(), exit.Delivered, 8, 0, 0, 0, 0)
		for _, words := range w.watch.holding() {
			if strings.Contains(words, "down") {
				t.Errorf("held back by %q", words)
			}
		}
	})
}

// Files that wait for their next attempt hold no others up, however few may be
// in flight.
func TestBackoffHoldsNobodyUp(t *testing.T) {
	var mu sync.Mutex
	tries := map[string]int{}
	onFakeTime(t, 60, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		tries[r.URL.Path]++
		try := tries[r.URL.Path]
		mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "0") && try <= 4 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		accept(w, r, 0)
	}, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 1}
		s := w.run()
		w.ended(s, exit.Delivered, 60, 0, 0, 0, 0)
		var others time.Duration // until all but those that were refused are delivered
		for _, snap := range w.watch.snapshots {
			if snap.Delivered < 54 {
				others = snap.Elapsed
			}
		}
		// These and the others' attempts, at the rate, with time to grow.
		if most := (60+6*4)*time.Second/10 + time.Second; others > most {
			t.Errorf("the others took %v of %v, want at most %v", others, w.since(), most)
		}
	})
}
