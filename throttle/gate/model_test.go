package gate

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/hint"
	"golang.org/x/time/rate"
)

// A naiveGate remembers all that it has admitted.
type naiveGate struct {
	interval, early time.Duration
	burst, inFlight int
	admitted        map[string][]admitted
	now             map[string]int // in flight
}

type admitted struct {
	at     time.Duration
	weight int
}

// admits reports whether the guarantee would still hold: for each interval that ends now, that no
// more tokens were used than the rate, the burst and the jitter allow. A request that is heavier
// than the burst needs what was used before to be refilled.
func (n *naiveGate) admits(key string, weight int, now time.Duration) bool {
	if n.now[key] >= n.inFlight {
		return false
	}
	for i, first := range n.admitted[key] {
		tokens := weight
		for _, a := range n.admitted[key][i:] {
			tokens += a.weight
		}
		used := time.Duration(tokens-max(n.burst, weight)) * n.interval
		if weight > 0 && used > now-first.at+n.early {
			return false
		}
	}
	return true
}

func TestAgainstNaiveModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for run := range 90 {
		random := rand.New(rand.NewPCG(seed, uint64(run)))
		interval := time.Duration(1+random.IntN(300)) * 10 * ms
		n := &naiveGate{
			interval: interval,
			early:    max(50*ms, interval/10),
			burst:    1 + random.IntN(4),
			inFlight: 1 + random.IntN(4),
			admitted: map[string][]admitted{},
			now:      map[string]int{},
		}
		synctest.Test(t, func(t *testing.T) {
			c := newClock()
			g := &Gate{Limits: Limits{Rate: rate.Every(interval), Burst: n.burst,
				InFlight: n.inFlight}}
			g.once.Do(g.init)
			type request struct {
				key string
				admission
			}
			var running []request
			for step := range 400 {
				time.Sleep(time.Duration(random.IntN(3)*random.IntN(int(2*interval/ms))) * ms / 2)
				if len(running) > 0 && random.IntN(3) == 0 {
					i := random.IntN(len(running))
					r := running[i]
					running = slices.Delete(running, i, i+1)
					g.leave(r.account, r.began)
					n.now[r.key]--
				}
				key := string(rune('a' + random.IntN(3)))
				weight := 1
				if run%3 == 0 {
					weight = random.IntN(n.burst + 3)
				}
				want := n.admits(key, weight, c.now())
				a := g.enter(key, weight)
				if got := a.account != nil; got != want {
					t.Fatalf("seed %d, run %d, step %d at %v: key %s admitted %v, want %v", seed,
						run, step, c.now(), key, got, want)
				}
				if want {
					n.admitted[key] = append(n.admitted[key], admitted{c.now(), weight})
					n.now[key]++
					running = append(running, request{key, a})
				} else if n.now[key] < n.inFlight {
					// Then it is admitted even if it is not early, and at most a second before.
					wait, early := time.Duration(a.wait)*time.Second, n.early
					n.early = 0
					if !n.admits(key, weight, c.now()+wait) || a.wait > 1 &&
						n.admits(key, weight, c.now()+wait-time.Second) {
						t.Fatalf("seed %d, run %d, step %d at %v: key %s is told to wait %v", seed,
							run, step, c.now(), key, wait)
					}
					n.early = early
				}
				if got, want := g.Stats().InFlight, len(running); got != want {
					t.Fatalf("seed %d, run %d, step %d: in flight %d, want %d", seed, run, step,
						got, want)
				}
				for key, a := range g.mu.accounts {
					if a.inFlight != n.now[key] {
						t.Fatalf("seed %d, run %d, step %d: key %s: in flight %d, want %d", seed,
							run, step, key, a.inFlight, n.now[key])
					}
				}
			}
		})
	}
}

// A client that sends what RateLimit leaves it, less what it has in flight, evenly over the time
// that it names, gets all of the rate and next to no refusal: though its requests arrive with
// jitter, and whether it counts that time from when it sent or from when the answer came.
func TestFieldsPaceAClient(t *testing.T) {
	for _, r := range []rate.Limit{0.1, 0.7, 4, 33.3, 100} {
		for _, latency := range []time.Duration{10 * ms, 300 * ms, 3 * time.Second,
			20 * time.Second} {
			if float64(r)*latency.Seconds() > 300 {
				continue // takes long to simulate, and shows nothing more
			}
			for _, fromSending := range []bool{false, true} {
				name := fmt.Sprintf("%v a second, %v, from sending %v", r, latency, fromSending)
				synctest.Test(t, func(t *testing.T) {
					paceClient(t, name, r, latency, fromSending)
				})
			}
		}
	}
}

// seconds converts, saturating: a client that knows no pace yet waits forever.
func seconds(s float64) time.Duration {
	return time.Duration(min(s*float64(time.Second), math.MaxInt64/2))
}

func paceClient(t *testing.T, name string, limit rate.Limit, latency time.Duration,
	fromSending bool) {
	random := rand.New(rand.NewPCG(1, 2))
	c := newClock()
	g := &Gate{Limits: Limits{Rate: limit}}
	span := 4*latency + seconds(1500/float64(limit))

	type event struct {
		at, sent time.Duration
		resp     hint.Hints
		answer   bool // has reached the client; else the request the server
	}
	var events []event
	post := func(e event) {
		i, _ := slices.BinarySearchFunc(events, e,
			func(a, b event) int { return cmp.Compare(a.at, b.at) })
		events = slices.Insert(events, i, e)
	}
	pace, inFlight, sent, refused := 0.0, 0, 0, 0
	var last time.Duration
	send := func(at time.Duration) {
		last = at
		inFlight++
		sent++
		post(event{at: at + 5*ms + time.Duration(random.Int64N(int64(40*ms))), sent: at})
	}
	send(0)
	for last < span {
		if due := max(last+seconds(1/pace), c.now()); pace > 0 &&
			(len(events) == 0 || due < events[0].at) {
			c.until(due)
			send(due)
			continue
		}
		e := events[0]
		events = slices.Delete(events, 0, 1)
		c.until(e.at)
		if !e.answer {
			resp := through(g, "a", nil)
			if resp.StatusCode != 200 {
				refused++
			}
			post(event{at: e.at + latency, sent: e.sent,
				resp: hint.Parse(resp.StatusCode, resp.Header, time.Now()), answer: true})
			continue
		}
		inFlight--
		l := e.resp.Limits[0]
		reset := l.Reset
		if fromSending {
			reset -= e.at - e.sent
		}
		pace = float64(l.Remaining-int64(inFlight)) / reset.Seconds()
	}
	// the first answer is waited for
	share := float64(sent) / (float64(limit) * (span - latency).Seconds())
	least, most := 0.98, 0
	if latency > 10*time.Second { // a thirtieth of the window
		least = 0.96
	}
	if fromSending { // it makes up for a part of what it did not send before the first answer
		most = 5 + int(latency.Seconds())
	}
	if share < least || share > 1.01 || refused > most {
		t.Errorf("%s: sent %d in %v, %.3f of the rate, %d refused", name, sent, span, share,
			refused)
	}
}
