package send

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/throttle"
)

// With answers that take seconds the pool has to grow to many times the size that it begins with.
func TestPoolGrowsUntilNoTokenIsLate(t *testing.T) {
	const rate, files = 50, 1000
	onFakeTime(t, files, taking(3*time.Second), func(w *world) {
		w.Limits = throttle.Limits{Rate: rate, InFlight: 256}
		s := w.run()
		w.ended(s, exit.Delivered, files, 0, 0, 0, 0)
		if n := w.got(4*time.Second, 19*time.Second); n < rate*15*99/100 {
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
	onFakeTime(t, 200, taking(3*time.Second), func(w *world) {
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
		if s.Waited[progress.LimitConcurrency] < s.Waited[progress.LimitRate] {
			t.Errorf("waited for %+v, want mostly concurrency", s.Waited)
		}
	})
}

func TestWorkersAreALimit(t *testing.T) {
	onFakeTime(t, 20, taking(time.Second), func(w *world) {
		w.Limits = throttle.Limits{Rate: 50, InFlight: 256}
		w.Workers = 2
		s := w.run()
		w.ended(s, exit.Delivered, 20, 0, 0, 0, 0)
		if s.InFlight.Max != 2 || s.Waited[progress.LimitConcurrency] < 9 || w.watch.snapshots[10].Holding != "held by your --workers 2" {
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
	refuse := answering(http.StatusTooManyRequests, "Retry-After", "30")
	handlers := append(slices.Repeat([]http.HandlerFunc{atOnce}, 9), refuse, atOnce)
	onFakeTime(t, 40, inTurn(handlers...), func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		s := w.run()
		w.ended(s, exit.Delivered, 40, 0, 0, 0, 0)
		const refused, end = 900 * time.Millisecond, 30*time.Second + 900*time.Millisecond
		if n := w.got(0, refused+1); n != 10 || w.got(refused, refused+1) != 1 {
			t.Fatalf("%d requests until the refusal", n)
		}
		if n := w.got(refused+1, end); n != 0 {
			t.Errorf("%d requests during the pause", n)
		}
		if n := w.got(end, end+time.Second); n == 0 || n > 11 {
			t.Errorf("%d requests in the second after the pause", n)
		}
		if want := 30.0; s.Waited[progress.LimitCoolDown] < want-0.1 || s.Waited[progress.LimitCoolDown] > want+0.1 {
			t.Errorf("%v s of cool-down", s.Waited[progress.LimitCoolDown])
		}
		for _, snap := range w.watch.snapshots {
			paused := snap.Elapsed > refused && snap.Elapsed < end
			if (snap.Limit == progress.LimitCoolDown) != paused {
				t.Fatalf("%v after the start the limit is %q", snap.Elapsed, snap.Limit)
			}
			wait := end - snap.Elapsed
			says := fmt.Sprintf("paused %d s: Retry-After", int(math.Ceil(wait.Seconds())))
			if paused && (snap.Pause != wait || snap.Holding != says) {
				t.Fatalf("%v before its end the pause is %v, %q", wait, snap.Pause, snap.Holding)
			}
		}
		w.logged("http://127.0.0.1 asked us to wait 30 s (Retry-After); paused until", 1)
	})
}

// A pause is one server's own: others go on, though their items come between those that wait.
func TestPauseHoldsUpNoOtherServer(t *testing.T) {
	const each = 40
	first := inTurn(answering(http.StatusTooManyRequests, "Retry-After", "100"), atOnce)
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "127.0.0.2" {
			atOnce(w, r)
		} else {
			first(w, r)
		}
	}, func(w *world) {
		w.hosts(2, each)
		w.Limits.InFlight = 4
		w.ended(w.run(), exit.Delivered, 2*each, 0, 0, 0, 0)
		if n := w.count(func(c *call) bool { return c.host == "127.0.0.2" && c.accepted < 3*time.Second }); n != each {
			t.Errorf("%d of %d accepted while the other server pauses", n, each)
		}
		if w.since() < 100*time.Second {
			t.Errorf("over after %v", w.since())
		}
	})
}

// A server that asks for a second each second does not fill the log.
func TestPausesAreToldOnceInAWhile(t *testing.T) {
	refuse := answering(http.StatusServiceUnavailable, "Retry-After", "2")
	onFakeTime(t, 1, inTurn(append(slices.Repeat([]http.HandlerFunc{refuse}, 20), atOnce)...), func(w *world) {
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
		told := strings.Count(w.watch.talk.String(), "level=INFO msg=\"http://127.0.0.1 asked us")
		if most := int(w.since()/upstream.NoticeEvery) + 1; told < 2 || told > most {
			t.Errorf("told %d times in %v", told, w.since())
		}
	})
}

// [give up] A server that accepts nothing ends the run, and it says why.
func TestGiveUp(t *testing.T) {
	onFakeTime(t, 20, answering(http.StatusServiceUnavailable), func(w *world) {
		w.Limits = throttle.Limits{Rate: 100, InFlight: 256}
		w.GiveUpAfter = 90 * time.Second
		s := w.run()
		w.ended(s, exit.Unavailable, 0, 0, 0, s.Items.Deferred, 20-s.Items.Deferred)
		if got, want := w.since(), 90*time.Second+tick; got != want {
			t.Errorf("ended after %v, want %v", got, want)
		}
		w.noted(s, "nothing was accepted for 1 m 30 s (--give-up-after): 503 Service Unavailable; try again later")
		// What ends because the run does says what the server said last.
		text := errorsOf(s)
		if !strings.Contains(text, "deferred: PUT http://127.0.0.1/000") || strings.Count(text, "nothing was accepted") != 1 ||
			strings.Count(text, "503 Service Unavailable") < 2 || strings.Contains(text, "nothing was sent") {
			t.Errorf("it says %s", text)
		}
	})
}

// What the server asks for it gets, once: what comes after it has to be accepted.
func TestGiveUpIsPatientWhenAsked(t *testing.T) {
	again := answering(http.StatusServiceUnavailable, "Retry-After", "50")
	onFakeTime(t, 5, inTurn(again, atOnce, again, atOnce, again, atOnce), func(w *world) {
		w.Limits.InFlight = 1
		w.GiveUpAfter = 10 * time.Second
		w.ended(w.run(), exit.Delivered, 5, 0, 0, 0, 0)
		if w.since() < 150*time.Second {
			t.Errorf("over after %v", w.since())
		}
	})
	onFakeTime(t, 5, again, func(w *world) {
		w.Limits.InFlight = 1
		w.GiveUpAfter = 80 * time.Second
		s := w.run()
		w.ended(s, exit.Unavailable, 0, 0, 0, s.Items.Deferred, 5-s.Items.Deferred)
		if got, want := w.since(), 100*time.Second+tick; got != want {
			t.Errorf("over after %v, want %v", got, want)
		}
		w.noted(s, "nothing was accepted for 1 m 20 s (--give-up-after): 503 Service Unavailable; "+
			"the server asked us to wait until "+w.begin.Add(150*time.Second).Format(time.RFC3339))
	})
	// With any answer such a wait is no outage.
	onFakeTime(t, 1, inTurn(answering(500, "Retry-After", "120"), atOnce), func(w *world) {
		w.GiveUpAfter = time.Minute
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
	})
}

// The connections that are there before a pause may be dead after it. What is sent first then is sent
// once more, and holds nothing up.
func TestConnectionsDieDuringPauses(t *testing.T) {
	const pauses = 10
	again := answering(http.StatusServiceUnavailable, "Retry-After", "60")
	handlers := append(slices.Repeat([]http.HandlerFunc{again, atOnce}, pauses), atOnce)
	onFakeTime(t, 2*pauses, inTurn(handlers...), func(w *world) {
		w.ended(w.run(), exit.Delivered, 2*pauses, 0, 0, 0, 0)
		if late := w.since() - pauses*time.Minute; late < 0 || late > 30*time.Second {
			t.Errorf("over after %v", w.since())
		}
	})
}

// The longest pause of one's own is as long as --stall-timeout. No connection ends by that just when a
// request goes on it: before, the idle ones are closed.
func TestIdleConnectionsDoNotStall(t *testing.T) {
	again := answering(http.StatusServiceUnavailable, "Retry-After", "60")
	onFakeTime(t, 10, inTurn(again, atOnce), func(w *world) {
		var open atomic.Int64
		open.Store(-1)
		time.AfterFunc(55*time.Second, func() { open.Store(w.conns.Load()) })
		w.ended(w.run(), exit.Delivered, 10, 0, 0, 0, 0)
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are open in the pause", n)
		}
	})
}

// Servers that never accept, each in a way of its own. The run stays polite and ends when the user
// said.
func TestGiveUpOnAServerThat(t *testing.T) {
	var turn atomic.Int64
	waits := []string{"1", "300", "0", "-1", "2", "soon", "9999999999999999999", "30"}
	for i, c := range []struct {
		name    string
		handler http.HandlerFunc
		most    int // requests
	}{
		{"asks for a second each time", answering(429, "Retry-After", "1"), 250},
		{"asks for a second and is down", answering(503, "Retry-After", "1"), 250},
		{"throttles", answering(429), 250},
		{"is overloaded", answering(503), 50},
		{"times out", answering(504), 50},
		{"asks for less than nothing", answering(429, "Retry-After", "-5"), 250},
		{"asks for what is over", answering(429, "Retry-After", "Wed, 01 Jan 1997 00:00:00 GMT"), 250},
		{"contradicts itself", answering(429, "RateLimit", `"q";r=100;t=0`, "RateLimit-Policy", `"q";q=100;w=1`,
			"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "3"), 250},
		{"asks for a year", answering(429, "Retry-After", "31536000"), 2},
		{"hangs", func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Minute) }, 50},
		{"resets", func(w http.ResponseWriter, r *http.Request) { hijacked(w, "", (*memnet.Conn).Reset) }, 50},
		{"changes its mind wildly", func(w http.ResponseWriter, r *http.Request) {
			answering(429, "Retry-After", waits[turn.Add(1)%8])(w, r)
		}, 250},
	} {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, i)
			onFakeTime(t, 300, c.handler, func(w *world) {
				w.GiveUpAfter, w.MaxWait = 3*time.Minute, time.Hour
				s := w.run()
				if s.ExitStatus != exit.Unavailable || s.Items.Delivered+s.Items.Failed > 0 {
					t.Errorf("exit status %d, %+v\n%s", s.ExitStatus, s.Items, errorsOf(s))
				}
				if w.since() > 9*time.Minute {
					t.Errorf("over after %v", w.since())
				}
				if n := w.got(0, always); n > c.most {
					t.Errorf("%d requests in %v, want at most %d", n, w.since(), c.most)
				}
				note := strings.Join(s.Notes, "\n")
				if !strings.Contains(note, "try again later") && !strings.Contains(note, "wait until 2000-") {
					t.Errorf("notes %q", s.Notes)
				}
			})
		})
	}
}

// [give up] A longer wait than the user allows ends the run at once.
func TestMaxWait(t *testing.T) {
	onFakeTime(t, 5, answering(http.StatusTooManyRequests, "Retry-After", "61"), func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.MaxWait = time.Minute
		s := w.run()
		w.ended(s, exit.Unavailable, 0, 0, 0, 1, 4)
		if w.since() != 0 {
			t.Errorf("ended after %v", w.since())
		}
		w.noted(s, "the server asked us to wait until "+w.begin.Add(61*time.Second).Format(time.RFC3339)+", longer than --max-wait 1 m")
	})
	// A pause of our own, which grows while a server only says 429, is nothing that the server asks for.
	onFakeTime(t, 5, answering(http.StatusTooManyRequests), func(w *world) {
		w.MaxWait, w.GiveUpAfter = 2*time.Second, time.Minute
		s := w.run()
		w.noted(s, "nothing was accepted for 1 m (--give-up-after): 429 Too Many Requests; try again later")
		if s.ExitStatus != exit.Unavailable {
			t.Errorf("exit status %d", s.ExitStatus)
		}
	})
}

func TestMaxDuration(t *testing.T) {
	onFakeTime(t, 100, taking(3*time.Second), func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.MaxDuration = 2050 * time.Millisecond
		s := w.run()
		w.ended(s, exit.Limit, 21, 0, 0, 0, 79)
		if got := w.since(); got != 5*time.Second {
			t.Errorf("ended after %v: what was in flight takes until 5 s", got)
		}
		if n := w.got(w.MaxDuration, always); n != 0 {
			t.Errorf("%d requests after the end", n)
		}
		if last := w.watch.holding(); last[len(last)-1] != "nothing new is sent: --max-duration 2.05 s is over" {
			t.Errorf("held back by %q", last)
		}
	})
}

// [stop] The first interrupt sends nothing new; the second breaks off what is in flight. What still
// waits for its turn was not sent.
func TestInterrupt(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second time.Duration
		files         int
		limits        throttle.Limits
		method        string
		answers       time.Duration
		want          report.ItemCounts
		ends          time.Duration
		says          string
	}{
		{"once", 1050 * time.Millisecond, 0, 100, throttle.Limits{Rate: 10, InFlight: 256}, "PUT", 3 * time.Second,
			report.ItemCounts{Delivered: 11, Remaining: 89}, 4 * time.Second, ""},
		{"twice", 1050 * time.Millisecond, 2 * time.Second, 100, throttle.Limits{Rate: 10, InFlight: 256}, "PUT", 3 * time.Second,
			report.ItemCounts{Deferred: 11, Remaining: 89}, 2 * time.Second, ": interrupted\n"},
		{"at once", 0, 1, 10, throttle.Limits{Rate: 1}, "PUT", 3 * time.Second,
			report.ItemCounts{Deferred: 1, Remaining: 9}, 1, ": interrupted\n"},
		{"posts", 0, time.Second, 3, throttle.Limits{InFlight: 1}, "POST", 3 * time.Second,
			report.ItemCounts{Unknown: 1, Remaining: 2}, time.Second, ": interrupted\n"},
		{"posts that wait", 0, 2500 * time.Millisecond, 6, throttle.Limits{Rate: 1}, "POST", 0,
			report.ItemCounts{Delivered: 3, Remaining: 3}, 2500 * time.Millisecond, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFakeTime(t, c.files, taking(c.answers), func(w *world) {
				w.method(c.method)
				w.Limits = c.limits
				s := w.stopped(c.first, c.second)
				c.want.Total = int64(c.files)
				w.items(s, c.want)
				if s.ExitStatus != exit.Interrupted || w.since() != c.ends {
					t.Errorf("exit status %d after %v, want %v", s.ExitStatus, w.since(), c.ends)
				}
				if text := errorsOf(s); !strings.HasSuffix(text, c.says) || c.says == "" && text != "" || len(s.Errors) > 1 {
					t.Errorf("it says %q", text)
				}
				if c.second == 0 {
					w.logged("interrupted: sending nothing new, 11 in flight may finish; a second Ctrl-C ends at once", 1)
				}
			})
		})
	}
	onFakeTime(t, 10, atOnce, func(w *world) {
		ctx, breakOff := context.WithCancelCause(context.Background())
		breakOff(&exit.Signal{Signal: os.Interrupt})
		w.ended(w.runUntil(ctx, ctx), exit.Interrupted, 0, 0, 0, 0, 10)
	})
}

// A server that is down is named as what holds the run back, and its outage
// costs nothing but time.
func TestServerDown(t *testing.T) {
	onFakeTime(t, 300, atOnce, func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		time.AfterFunc(5*time.Second, func() { w.net.Refuse(true) })
		time.AfterFunc(25*time.Second, func() { w.net.Refuse(false) })
		// A connection for each request, so that the outage is seen.
		w.Header = http.Header{"Connection": {"close"}}
		s := w.run()
		w.ended(s, exit.Delivered, 300, 0, 0, 0, 0)
		if s.Waited[progress.LimitDown] < 17 || s.Waited[progress.LimitDown] > 40 {
			t.Errorf("%v s of 20 down", s.Waited[progress.LimitDown])
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
	slow := taking(10 * time.Second)
	onFakeTime(t, 8, inTurn(slow, answering(http.StatusServiceUnavailable), slow), func(w *world) {
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
