package throttle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// A patron sends through an upstream again and again until it is told to stop, and does with each
// request what serve says.
type patron struct {
	clock
	u     *Upstream
	serve func(n int) (Signal, time.Duration, time.Duration) // how it ends, after how long, when to come back

	mu    sync.Mutex
	sends []time.Duration
	group sync.WaitGroup
}

// work is one of many goroutines that do so until the context ends.
func (p *patron) work(ctx context.Context) {
	p.group.Go(func() {
		for {
			permit, err := p.u.Acquire(ctx, 1)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.sends = append(p.sends, p.now())
			n := len(p.sends)
			p.mu.Unlock()
			f := Feedback{}
			var after time.Duration
			f.Signal, f.Latency, after = p.serve(n)
			time.Sleep(f.Latency)
			if after > 0 {
				f.RetryAt, f.Source = time.Now().Add(after), "test"
			}
			permit.Done(f)
		}
	})
}

// run has many of them work for a while.
func (p *patron) run(t *testing.T, many int, d time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	for range many {
		p.work(ctx)
	}
	p.at(d)
	cancel()
	p.group.Wait()
	wantIdle(t, "in the end", p.u)
}

// A server that refuses all gets one probe at a time, however many want to send.
func TestUpstreamDown(t *testing.T) {
	for _, limits := range []Limits{{}, {InFlight: 50}, {Rate: 1000}, {InFlight: 50, Fixed: true}, {Rate: 1000, InFlight: 50}} {
		t.Run(fmt.Sprintf("%+v", limits), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &patron{clock: newClock(), u: NewUpstream(limits)}
				downFrom, downTo := 10*time.Second, 70*time.Second
				p.serve = func(int) (Signal, time.Duration, time.Duration) {
					if now := p.now(); now >= downFrom && now < downTo {
						return SignalOverloaded, ms, 0
					}
					return SignalSuccess, 100 * ms, 0
				}
				p.run(t, 60, 80*time.Second)
				var dead []time.Duration
				last, after := time.Duration(0), 0
				for _, at := range p.sends {
					switch {
					case at >= downTo:
						after++
					case at >= downFrom+100*ms:
						if at-last < time.Second && len(dead) > 1 {
							t.Errorf("probes at %v and %v", last, at)
						}
						dead = append(dead, at)
						last = at
					}
				}
				// All that was in flight is refused at once; then probes, at most 10 s apart.
				if len(dead) > 10 || downTo-last > 10*time.Second {
					t.Errorf("%d requests to a dead server: %v", len(dead), dead)
				}
				if after < 100 {
					t.Errorf("%d requests in the 10 s after it", after)
				}
				if w := p.u.Stats().Waited.Down; w < 55*time.Second || w > 70*time.Second {
					t.Errorf("waited %v for it", w)
				}
			})
		})
	}
}

// down brings an upstream to where two probes were refused. The next one may go at 2.2 s.
func down(t *testing.T, u *Upstream) clock {
	c := newClock()
	a, b := call(t, c, u, 1, 0), call(t, c, u, 1, 0)
	c.at(100 * ms)
	a.permit.Done(Feedback{Signal: SignalOverloaded})
	b.permit.Done(Feedback{Signal: SignalOverloaded})
	probe := call(t, c, u, 1, 0)
	c.at(200 * ms)
	probe.permit.Done(Feedback{Signal: SignalOverloaded})
	if s := u.Stats(); s.Phase != PhaseDown || !s.Probe.Equal(c.begin.Add(2200*ms)) || !s.Changed.Equal(c.begin.Add(200*ms)) ||
		s.Reason != "overloaded" || s.Overloaded != 3 || s.Holding != HoldingNone {
		t.Errorf("%+v", s)
	}
	return c
}

// What is known of the waiters of a server that is down.
func TestUpstreamDownStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 2})
		c := down(t, u)
		callers := []*caller{call(t, c, u, 1, 0), call(t, c, u, 1, 0), call(t, c, u, 1, 0)}
		c.at(time.Second)
		wantWaited(t, u, HoldingDown, Waited{Down: 800 * ms})
		c.at(2500 * ms)
		// One is on its way, and the others wait for what comes of it.
		wantSent(t, callers, -1, -1, 2200*ms)
		if s := u.Stats(); s.Phase != PhaseDown || !s.Probe.IsZero() || s.Holding != HoldingDown || s.InFlight != 1 || s.Waiting != 2 {
			t.Errorf("%+v", s)
		}
		callers[0].permit.Done(Feedback{Signal: SignalSuccess, Latency: 300 * ms})
		wantSent(t, callers, -1, 2200*ms, 2500*ms)
		s := u.Stats()
		if s.Phase != PhaseSteady || s.Reason != "accepted again" || !s.Changed.Equal(time.Now()) || s.Holding != HoldingConcurrency || s.Limit != 1 {
			t.Errorf("%+v", s)
		}
		wantWaited(t, u, HoldingConcurrency, Waited{Down: 2300 * ms})
		callers[1].permit.Release()
		c.at(2600 * ms)
		callers[2].permit.Release()
		wantIdle(t, "in the end", u)
	})
}

// A probe that was cancelled, before or after it went, hands its turn to the next.
func TestUpstreamProbeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 2})
		c := down(t, u)
		ctx, cancel := context.WithCancel(t.Context())
		go u.Acquire(ctx, 1) // first in line
		synctest.Wait()
		callers := []*caller{call(t, c, u, 1, 0), call(t, c, u, 1, 0)}
		c.at(2 * time.Second)
		cancel()
		c.at(2300 * ms)
		wantSent(t, callers, -1, 2200*ms)
		callers[0].permit.Release() // Ignored
		callers[0].permit.Release()
		callers[0].permit.Done(Feedback{Signal: SignalSuccess}) // too late
		wantSent(t, callers, 2200*ms, 2300*ms)
		if s := u.Stats(); s.Phase != PhaseDown || s.Succeeded != 0 || held(u) != 1 {
			t.Errorf("%+v", s)
		}
		callers[1].permit.Done(Feedback{Signal: SignalSuccess})
		wantIdle(t, "in the end", u)
	})
}

// Stop fails the waiters for a probe; the one on its way may finish.
func TestUpstreamStopWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{})
		c := newClock()
		first := call(t, c, u, 1, 0)
		first.permit.Done(Feedback{Signal: SignalOverloaded})
		probe := call(t, c, u, 1, 0)
		waiters := []*caller{call(t, c, u, 1, 0), call(t, c, u, 1, 0)}
		c.at(time.Second)
		u.Stop(errors.New("enough"))
		wantSent(t, waiters, time.Second, time.Second)
		for _, w := range waiters {
			var stop *StopError
			if !errors.As(w.err, &stop) {
				t.Error(w.err)
			}
		}
		if s := u.Stats(); s.Holding != HoldingNone {
			t.Errorf("held by %q", s.Holding)
		}
		probe.permit.Done(Feedback{Signal: SignalSuccess})
		if _, err := u.Acquire(t.Context(), 1); err == nil {
			t.Error("sent after Stop")
		}
		wantIdle(t, "in the end", u)
	})
}

// A pause and a probe: the later holds. Lifting the pause leaves the wait for the probe alone.
func TestUpstreamPauseWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 2})
		c := down(t, u)
		u.Pause(c.time(5*time.Second), "test")
		waiter := call(t, c, u, 1, 0)
		c.at(3 * time.Second)
		wantWaited(t, u, HoldingCoolDown, Waited{CoolDown: 2800 * ms})
		c.at(5 * time.Second)
		wantSent(t, []*caller{waiter}, 5*time.Second)
		waiter.permit.Done(Feedback{Signal: SignalOverloaded}) // the next at 9 s
		waiter = call(t, c, u, 1, 0)
		u.Pause(c.time(time.Hour), "test")
		c.at(6 * time.Second)
		u.Resume()
		c.at(8 * time.Second)
		wantWaited(t, u, HoldingDown, Waited{CoolDown: 5800 * ms, Down: 2 * time.Second})
		c.at(10 * time.Second)
		wantSent(t, []*caller{waiter}, 9*time.Second)
		waiter.permit.Done(Feedback{Signal: SignalSuccess})
		wantIdle(t, "in the end", u)
	})
}

// The wait for a probe is no cool-down that was asked for.
func TestMaxWaitWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Limits: Limits{InFlight: 2}, MaxPause: time.Second}
		u := tr.Upstream("a")
		c := down(t, u)
		waiters := []*caller{call(t, c, u, 1, 0), call(t, c, u, 1, 0)}
		c.at(3 * time.Second)
		wantSent(t, waiters, -1, 2200*ms)
		// One that is asked for is.
		until := c.time(13 * time.Second)
		waiters[0].permit.Done(Feedback{Signal: SignalOverloaded, RetryAt: until, Source: "test"})
		wantPaused(t, waiters[1], 3*time.Second, until)
		wantPaused(t, call(t, c, u, 1, 0), 3*time.Second, until)
		c.at(12 * time.Second)
		waiter := call(t, c, u, 1, ms)
		c.at(14 * time.Second)
		wantSent(t, []*caller{waiter}, 13*time.Second)
		wantIdle(t, "in the end", u)
	})
}

// An upstream that is paused or down holds up no other.
func TestTransportDownAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.Host {
			case "down":
				w.WriteHeader(503)
			case "paused":
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(503)
			default:
				time.Sleep(100 * ms)
			}
		})
		client := &http.Client{Transport: &Transport{Base: s.base, Limits: Limits{InFlight: 4}}}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, host := range []string{"down", "paused", "well"} {
			for range 10 {
				group.Go(func() {
					for ctx.Err() == nil {
						r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+host+"/"+host, nil)
						if resp, err := client.Do(r); err == nil {
							resp.Body.Close()
						}
					}
				})
			}
		}
		s.at(10*time.Second - ms)
		cancel()
		group.Wait()
		counts := map[string]int{}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, h := range s.hits {
			counts[h.host]++
		}
		if counts["well"] != 400 || counts["down"] > 9 || counts["paused"] > 4 {
			t.Errorf("%v, want 400 to the one that is well", counts)
		}
	})
}

// Connections that are refused are a server that is down, and so are names that cannot be resolved.
// When they work again, everything goes.
func TestTransportRefusedConnections(t *testing.T) {
	for name, failure := range map[string]error{
		"refused":     &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"unreachable": &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH},
		"unknown":     &net.DNSError{Err: "no such host", IsNotFound: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, func(w http.ResponseWriter, r *http.Request) { time.Sleep(50 * ms) })
				dial := s.base.DialContext
				var dials []time.Duration
				var mu sync.Mutex
				s.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if s.now() < 30*time.Second {
						mu.Lock()
						dials = append(dials, s.now())
						mu.Unlock()
						return nil, failure
					}
					return dial(ctx, network, addr)
				}
				var changes []Event
				tr := &Transport{Base: s.base, Observe: func(e Event) {
					if e.Kind == EventChanged {
						mu.Lock()
						changes = append(changes, e)
						mu.Unlock()
					}
				}}
				u := tr.Upstream("http://a")
				client := &http.Client{Transport: tr}
				var group sync.WaitGroup
				var done atomic.Int64
				s.at(time.Second)
				for range 60 {
					group.Go(func() {
						for {
							if resp, err := client.Get("http://a/"); err == nil {
								resp.Body.Close()
								done.Add(1)
								return
							}
						}
					})
				}
				s.at(29 * time.Second)
				if want := []time.Duration{time.Second, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 25 * time.Second}; !slices.Equal(dials, want) {
					t.Errorf("dialled at %v, want %v", dials, want)
				}
				if st := u.Stats(); st.Phase != PhaseDown || !st.Probe.Equal(s.begin.Add(35*time.Second)) || st.Holding != HoldingDown || st.InFlight != 0 || st.Waiting != 60 {
					t.Errorf("%+v", st)
				}
				group.Wait()
				if s.now() > 37*time.Second || done.Load() != 60 {
					t.Errorf("%d done at %v", done.Load(), s.now())
				}
				wantIdle(t, name, u)
				var phases []Phase
				for _, e := range changes {
					if len(phases) == 0 || phases[len(phases)-1] != e.Phase {
						phases = append(phases, e.Phase)
					}
				}
				if want := []Phase{PhaseHoldingBack, PhaseDown, PhaseStarting}; !slices.Equal(phases, want) {
					t.Errorf("phases %v, want %v", phases, want)
				}
			})
		})
	}
}

// The one that net/http sends once more by itself while the server is down, be it the probe or not,
// waits for its turn, and nobody waits forever.
func TestTransportResendWhileDown(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%v", http2), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var drop atomic.Bool
				s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					if drop.Load() {
						panic(http.ErrAbortHandler)
					}
					if s := r.URL.Path; s == "/503" {
						w.WriteHeader(503)
					}
				})
				s.base.Protocols = new(http.Protocols)
				s.base.Protocols.SetHTTP1(!http2)
				s.base.Protocols.SetUnencryptedHTTP2(http2)
				tr := &Transport{Base: s.base, Limits: Limits{InFlight: 4}}
				client := &http.Client{Transport: tr}
				get(t, client, "http://a/") // a connection is kept
				get(t, client, "http://a/503")
				get(t, client, "http://a/503")
				u := tr.Upstream("http://a")
				if st := u.Stats(); st.Phase != PhaseDown {
					t.Errorf("%+v", st)
				}
				drop.Store(true)
				go func() {
					time.Sleep(10 * time.Second)
					drop.Store(false)
				}()
				var group sync.WaitGroup
				for range 20 {
					group.Go(func() {
						for {
							r, _ := http.NewRequest("PUT", "http://a/", strings.NewReader("body"))
							r.Header.Set("Idempotency-Key", "1")
							resp, err := client.Do(r)
							if err == nil {
								resp.Body.Close()
								if resp.StatusCode == 200 {
									return
								}
							}
							time.Sleep(500 * ms)
						}
					})
				}
				group.Wait()
				if s.now() > 30*time.Second {
					t.Errorf("done at %v", s.now())
				}
				if len(s.hits) > 40 {
					t.Errorf("%d requests", len(s.hits))
				}
				wantIdle(t, "in the end", u)
			})
		})
	}
}

// After a 503 that says when, one goes at that instant, and then more and more, also when it was
// the only one that was refused.
func TestTransportResumesSlowly(t *testing.T) {
	for _, all := range []bool{true, false} {
		t.Run(fmt.Sprintf("all=%v", all), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, nil)
				var n atomic.Int64
				site := newSite(t, func(w http.ResponseWriter, r *http.Request) {
					if n.Add(1) == 20 || all && s.now() < 500*ms {
						time.Sleep(50 * ms)
						w.Header().Set("Retry-After", "3")
						w.WriteHeader(503)
						return
					}
					time.Sleep(100 * ms)
				})
				client := &http.Client{Transport: &Transport{Base: site.base, Limits: Limits{InFlight: 20}}}
				var group sync.WaitGroup
				for range 20 {
					group.Go(func() {
						for s.now() < 4*time.Second {
							get(t, client, "http://a/")
						}
					})
				}
				group.Wait()
				sent := map[time.Duration]int{}
				for _, h := range site.hits {
					sent[h.at]++
				}
				if sent[0] != 20 || sent[3050*ms] != 1 || sent[3150*ms] < 1 || sent[3150*ms] > 2 || sent[3250*ms] > 4 {
					t.Errorf("sent %v", sent)
				}
			})
		})
	}
}

// Lifting a pause that a refusal asked for lets somebody go at once.
func TestUpstreamResumeAsked(t *testing.T) {
	for _, outcome := range []Signal{SignalOverloaded, SignalThrottled} {
		t.Run(outcome.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClock()
				u := NewUpstream(Limits{})
				first := call(t, c, u, 1, 0)
				first.permit.Done(Feedback{Signal: outcome, RetryAt: c.time(365 * 24 * time.Hour), Source: "test"})
				waiter := call(t, c, u, 1, 0)
				c.at(time.Second)
				u.Resume()
				c.at(10 * time.Second)
				if waiter.sent < time.Second || waiter.sent > 2*time.Second {
					t.Errorf("went at %v", waiter.sent)
				}
				if waiter.err == nil && waiter.permit != nil {
					waiter.permit.Done(Feedback{Signal: SignalThrottled, RetryAt: c.time(12 * time.Second)})
				}
				if r := u.Stats().Rate; r == rate.Inf {
					t.Error("nothing was learned from a refusal after that")
				}
				u.Stop(nil)
			})
		})
	}
}

// A probe that takes long, as an upload does, holds up nobody for good: others go when it is
// overdue, fewer and fewer, and the first that is accepted ends it.
func TestUpstreamSlowProbe(t *testing.T) {
	for _, test := range []struct {
		name    string
		latency time.Duration // of those before
		most    int           // in flight
		healthy bool
		want    []time.Duration // when those after the probe go
	}{
		{"healthy", 0, 8, true, []time.Duration{10 * time.Second, 10 * time.Second, 11 * time.Second}},
		{"hangs", 0, 8, false, []time.Duration{10 * time.Second, 30 * time.Second, 70 * time.Second}},
		{"slow as a rule", 5 * time.Second, 8, false, []time.Duration{20 * time.Second, 60 * time.Second, 140 * time.Second}},
		{"ceiling", 0, 2, false, []time.Duration{-1, -1, 10 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := NewUpstream(Limits{InFlight: test.most})
				first := call(t, newClock(), u, 1, 0)
				if test.latency > 0 {
					first.permit.Done(Feedback{Signal: SignalSuccess, Latency: test.latency})
					first = call(t, newClock(), u, 1, 0)
				}
				time.Sleep(time.Second)
				first.permit.Done(Feedback{Signal: SignalOverloaded})
				if test.latency > 0 { // something was accepted: a moment later more may be
					time.Sleep(100 * ms)
				}
				c := newClock()
				probe := call(t, c, u, 1, 0)
				var others []*caller
				for range test.want {
					others = append(others, call(t, c, u, 1, 0))
				}
				wantSent(t, []*caller{probe}, 0)
				if s := u.Stats(); !s.Probe.IsZero() {
					t.Errorf("a probe is on its way, and the next is announced for %v", s.Probe)
				}
				c.at(10 * time.Second)
				if test.healthy && others[0].permit != nil {
					others[0].permit.Done(Feedback{Signal: SignalSuccess})
					c.at(11 * time.Second)
					others[1].permit.Done(Feedback{Signal: SignalSuccess})
				}
				c.at(5 * time.Minute)
				wantSent(t, others, test.want...)
				u.Stop(nil)
			})
		})
	}
}

// After a refusal that says when the same holds.
func TestUpstreamSlowProbeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{InFlight: 8})
		first := call(t, c, u, 1, 0)
		first.permit.Done(Feedback{Signal: SignalOverloaded, RetryAt: c.time(5 * time.Second), Source: "test"})
		var callers []*caller
		for range 4 {
			callers = append(callers, call(t, c, u, 1, 0))
		}
		c.at(time.Minute)
		wantSent(t, callers, -1, 5*time.Second, 15*time.Second, 35*time.Second)
		// The refusal of the latest probe is that of the probe.
		callers[2].permit.Done(Feedback{Signal: SignalOverloaded})
		c.at(2 * time.Minute)
		wantSent(t, callers, 5*time.Second, 15*time.Second, 35*time.Second, 62*time.Second)
		u.Stop(nil)
	})
}
