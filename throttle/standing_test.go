package throttle

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/standing"
)

// withStanding is the context of a request that fared so.
func withStanding(t *testing.T, s standing.Standing) context.Context {
	return context.WithValue(t.Context(), standing.Key{}, s)
}

// The refusals of a request that is to blame teach nothing: the others go on as before. A pause
// that such a refusal asks for holds.
func TestRefusalsOfOneRequestTeachNothing(t *testing.T) {
	for _, c := range []struct {
		status int
		after  string
		paused bool
	}{{429, "", false}, {429, "7", true}, {503, "", false}, {503, "7", true}, {504, "", false}} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/hot" {
					time.Sleep(10 * time.Millisecond)
					return
				}
				if c.after != "" {
					w.Header().Set("Retry-After", c.after)
				}
				w.WriteHeader(c.status)
			})
			tr := &Transport{Base: s.base}
			send := func(path string, as standing.Standing) {
				req, err := http.NewRequestWithContext(withStanding(t, as), "PUT", "http://h.example"+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := tr.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			for range 20 {
				send("/", standing.Fresh)
			}
			before := tr.Upstream("http://h.example").Stats()
			send("/hot", standing.Blamed)
			after := tr.Upstream("http://h.example").Stats()
			if after.Phase != before.Phase || after.Limit != before.Limit || after.Rate != rate.Inf || after.Paused.IsZero() == c.paused {
				t.Errorf("%d: %+v, before %+v", c.status, after, before)
			}
			if n := after.Throttled + after.Overloaded + after.TimedOut; n != 1 {
				t.Errorf("%d: %d refusals counted", c.status, n)
			}
			if c.paused { // at once, and no slower
				begin := s.now()
				send("/", standing.Fresh)
				if took := s.now() - begin; took != 7*time.Second+10*time.Millisecond {
					t.Errorf("%d: the next took %v", c.status, took)
				}
			}
			// Any other request that is refused does teach.
			send("/hot", standing.Tried)
			if s := tr.Upstream("http://h.example").Stats(); s.Paused.IsZero() && s.Phase == before.Phase {
				t.Errorf("%d: %+v", c.status, s)
			}
		})
	}
}

// While nothing is accepted, one more refusal is one more, whatever its cause.
func TestRefusalOfOneRequestWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 2})
		c := down(t, u)
		c.at(2200 * ms)
		permit, err := u.Acquire(withStanding(t, standing.Blamed), 1)
		if err != nil {
			t.Fatal(err)
		}
		permit.Done(Feedback{Signal: SignalOverloaded, own: true})
		if s := u.Stats(); s.Phase != PhaseDown || !s.Probe.Equal(c.begin.Add(6200*ms)) {
			t.Errorf("%+v", s)
		}
	})
}

// The probe is the newest request that was not sent yet. Without any, and once the server accepts
// again, the first goes first.
func TestProbeIsTheNewestOfThoseNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limits := range []Limits{{InFlight: 2}, {InFlight: 2, Rate: 2}} { // a token may have to be waited for
			u := NewUpstream(Limits{InFlight: 2})
			down(t, u)
			if err := u.SetLimits(limits); err != nil {
				t.Fatal(err)
			}
			type sent struct {
				number int
				permit *Permit
			}
			went := make(chan sent)
			ctx := make(map[int]context.CancelFunc)
			for i, as := range []standing.Standing{standing.Tried, standing.Fresh, standing.Fresh, standing.Fresh, standing.Tried, standing.Blamed} {
				var each context.Context
				each, ctx[i] = context.WithCancel(withStanding(t, as))
				go func() {
					if permit, err := u.Acquire(each, 1+i); err == nil {
						went <- sent{i, permit}
					}
				}()
				synctest.Wait()
			}
			next := func(want int, f Feedback) {
				t.Helper()
				s := <-went
				if s.number != want {
					t.Fatalf("%v: %d went, want %d", limits, s.number, want)
				}
				s.permit.Done(f)
			}
			next(3, Feedback{Signal: SignalOverloaded})
			ctx[2]() // it would have been the next
			next(1, Feedback{Signal: SignalOverloaded})
			next(0, Feedback{Signal: SignalOverloaded})
			next(4, Feedback{Signal: SignalSuccess, Latency: 100 * ms})
			next(5, Feedback{Signal: SignalSuccess, Latency: 100 * ms})
			wantIdle(t, "in the end", u)
			for _, cancel := range ctx {
				cancel()
			}
		}
	})
}

// A probe that leaves while it waits for its tokens hands its turn, and no more, to the next.
func TestProbeLeavesItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 2})
		c := down(t, u)
		if err := u.SetLimits(Limits{InFlight: 2, Rate: 1}); err != nil {
			t.Fatal(err)
		}
		first := call(t, c, u, 2, 0)
		ctx, cancel := context.WithCancel(withStanding(t, standing.Fresh))
		gone := make(chan error)
		go func() {
			_, err := u.Acquire(ctx, 10)
			gone <- err
		}()
		c.at(4200 * ms) // the probe may go since 2.2 s
		cancel()
		if err := <-gone; err != context.Canceled {
			t.Error(err)
		}
		c.at(time.Minute)
		if got, want := first.sent, 5200*ms; got != want { // one token is there
			t.Errorf("the next probe went at %v, want %v", got, want)
		}
		first.permit.Done(Feedback{Signal: SignalSuccess, Latency: 100 * ms})
		wantIdle(t, "in the end", u)
	})
}

// Where a newer request comes while the probe waits for its tokens, each has its own weight.
func TestProbeIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 2})
		c := down(t, u)
		if err := u.SetLimits(Limits{InFlight: 2, Rate: 1}); err != nil {
			t.Fatal(err)
		}
		first := call(t, c, u, 4, 0)
		c.at(3200 * ms) // the probe may go since 2.2 s
		permit, err := u.Acquire(withStanding(t, standing.Fresh), 1)
		if sent, want := c.now(), 3200*ms; err != nil || sent != want {
			t.Fatalf("sent at %v, want %v: %v", sent, want, err)
		}
		c.at(4 * time.Second)
		permit.Done(Feedback{Signal: SignalSuccess, Latency: 100 * ms})
		c.at(time.Minute)
		if got, want := first.sent, 7200*ms; got != want { // four tokens after that one
			t.Errorf("the first went at %v, want %v", got, want)
		}
		first.permit.Release()
		wantIdle(t, "in the end", u)
	})
}
