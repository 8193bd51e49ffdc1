package throttle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What happens to permits of an Upstream of one's own is seen, and why they took so long.
func TestUpstreamObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		u := NewUpstream(Limits{Rate: 2, InFlight: 1})
		var events []Event
		u.Observe = func(e Event) {
			u.Stats() // no lock is held
			e.Until = e.Until.Round(0)
			events = append(events, e)
		}
		first, err := u.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := u.TryAcquire(1); ok {
			t.Error("two are in flight")
		}
		done := make(chan *Permit)
		go func() {
			p, _ := u.Acquire(t.Context(), 1)
			done <- p
		}()
		time.Sleep(200 * ms)
		first.Done(Feedback{Signal: SignalSuccess})
		second := <-done
		second.Done(Feedback{Signal: SignalThrottled, RetryAt: c.time(5 * time.Second), Source: "quota"})
		second.Done(Feedback{Signal: SignalSuccess}) // too late
		synctest.Wait()
		events = slices.DeleteFunc(events, func(e Event) bool { return e.Kind == EventChanged })
		want := []Event{
			{Kind: EventSent, Token: c.time(0)},
			{Kind: EventEnded, Signal: SignalSuccess, Latency: 200 * ms},
			{Kind: EventSent, Waited: 500 * ms, Token: c.time(500 * ms),
				WaitedFor: Waited{Concurrency: 200 * ms, Rate: 300 * ms}},
			{Kind: EventPaused, Until: c.time(5 * time.Second), Source: "quota"},
			{Kind: EventEnded, Signal: SignalThrottled},
		}
		if !slices.Equal(events, want) {
			t.Errorf("got\n%+v\nwant\n%+v", events, want)
		}
	})
}

// Of a change one event tells, and not each request after it.
func TestUpstreamObserveChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 4})
		var phases []Phase
		u.Observe = func(e Event) {
			if e.Kind == EventChanged {
				phases = append(phases, e.Phase)
			}
		}
		var permits []*Permit
		for range 4 {
			p, ok := u.TryAcquire(1)
			if !ok {
				t.Fatal("no permit")
			}
			permits = append(permits, p)
		}
		for _, p := range permits {
			p.Done(Feedback{Signal: SignalFailed})
		}
		time.Sleep(time.Minute)
		for range 3 {
			if p, ok := u.TryAcquire(1); ok {
				p.Done(Feedback{Signal: SignalSuccess})
			}
		}
		if want := []Phase{PhaseHoldingBack, PhaseSteady}; !slices.Equal(phases, want) {
			t.Errorf("changed to %v, want %v", phases, want)
		}
	})
}

// A caller that does not wait gets a permit only if nobody has to wait for it.
func TestTryAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{Rate: 10, Burst: 3, InFlight: 2})
		try := func(what string, weight int, want bool) *Permit {
			t.Helper()
			p, ok := u.TryAcquire(weight)
			if ok != want || (p != nil) != want {
				t.Errorf("%s: %v, want %v", what, ok, want)
			}
			return p
		}
		a := try("the first", 0, true)
		try("more than there are tokens", 3, false)
		b := try("the rest of the burst", 2, true)
		time.Sleep(time.Second)
		try("with two in flight", 1, false)
		a.Done(Feedback{Signal: SignalSuccess})
		try("more than the burst", 4, false)
		ctx, cancel := context.WithCancel(t.Context())
		go u.Acquire(ctx, 9)
		synctest.Wait()
		try("while somebody waits", 1, false)
		cancel()
		synctest.Wait()
		u.Pause(time.Now().Add(time.Minute), "")
		try("in a pause", 1, false)
		u.Resume()
		time.Sleep(time.Second)
		a = try("after it", 1, true)
		a.Release()
		b.Release()
		u.Stop(nil)
		try("after the end", 1, false)
		if s := u.Stats(); s.Sent != 3 || s.InFlight != 0 || held(u) != 0 {
			t.Errorf("%+v", s)
		}
	})
	if _, ok := NewUpstream(Limits{Rate: -1}).TryAcquire(1); ok {
		t.Error("limits that are not valid give permits")
	}
}

// An Observe that panics leaves no place taken.
func TestUpstreamObservePanics(t *testing.T) {
	for _, at := range []EventKind{EventSent, EventEnded} {
		u := NewUpstream(Limits{InFlight: 1})
		u.Observe = func(e Event) {
			if e.Kind == at {
				panic(at)
			}
		}
		for how, acquire := range map[string]func() *Permit{
			"Acquire":    func() *Permit { p, _ := u.Acquire(t.Context(), 1); return p },
			"TryAcquire": func() *Permit { p, _ := u.TryAcquire(1); return p },
		} {
			func() {
				defer func() {
					if recover() != at {
						t.Errorf("%s, %v: the panic is lost", how, at)
					}
				}()
				acquire().Done(Feedback{Signal: SignalSuccess})
			}()
			if s := u.Stats(); s.InFlight != 0 || held(u) != 0 {
				t.Fatalf("%s, %v: %d in flight, %d held", how, at, s.InFlight, held(u))
			}
		}
	}
}

// A body that is read through its permit keeps to the bandwidth, and its progress is known.
func TestPermitReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUpstream(Limits{InFlight: 2, Bandwidth: 100_000})
		p, err := u.Acquire(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		begin, ctx, cancel := time.Now(), t.Context(), context.CancelCauseFunc(nil)
		data := bytes.Repeat([]byte("x"), 1_000_000)
		got, err := io.ReadAll(p.Reader(ctx, bytes.NewReader(data)))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if took := time.Since(begin); took < 9900*ms || took > 10*time.Second {
			t.Errorf("a megabyte at 100 kB/s took %v", took)
		}
		u.sampler.mu.Lock()
		if n := len(u.sampler.samples); n != 1 {
			t.Errorf("%d samples are taken at once", n)
		}
		u.sampler.mu.Unlock()
		if s := u.Stats(); s.BytesPerSecond < 90_000 || s.BytesPerSecond > 110_000 {
			t.Errorf("%v bytes a second are known", s.BytesPerSecond)
		}
		enough := errors.New("enough")
		// Once more with the same permit: the first reader does not count any more.
		again := p.Reader(ctx, bytes.NewReader(data))
		if _, err := io.CopyN(io.Discard, again, 500_000); err != nil {
			t.Error(err)
		}
		if s := u.Stats(); s.BytesPerSecond < 90_000 || s.BytesPerSecond > 110_000 {
			t.Errorf("sent once more: %v bytes a second are known", s.BytesPerSecond)
		}
		ctx, cancel = context.WithCancelCause(ctx)
		time.AfterFunc(time.Second, func() { cancel(enough) })
		if _, err := io.ReadAll(p.Reader(ctx, bytes.NewReader(data))); err != enough {
			t.Errorf("ended by %v", err)
		}
		p.Done(Feedback{Signal: SignalSuccess})
		time.Sleep(time.Second)
		if s := u.Stats(); s.BytesPerSecond != 0 {
			t.Errorf("%v bytes a second after the end", s.BytesPerSecond)
		}
	})
}

// What only a body tells, the program says: here a 403 that is a throttle.
func TestTransportFeedback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		failing := errors.New("no answer")
		var outcomes []Signal
		tr := &Transport{
			Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/error" {
					return nil, failing
				}
				resp := answerWith(403)
				resp.Body = io.NopCloser(strings.NewReader("secondary rate limit"))
				return resp, nil
			}),
			Feedback: func(resp *http.Response, err error, f Feedback) Feedback {
				outcomes = append(outcomes, f.Signal)
				if (resp == nil) != (err == failing) {
					t.Errorf("both of %v, %v", resp, err)
				}
				if resp != nil {
					text, _ := io.ReadAll(resp.Body)
					resp.Body = io.NopCloser(bytes.NewReader(text))
					if strings.Contains(string(text), "rate limit") {
						f.Signal, f.RetryAt = SignalThrottled, time.Now().Add(time.Minute)
					}
				}
				return f
			},
		}
		resp, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(resp.Body); string(text) != "secondary rate limit" {
			t.Errorf("the caller reads %q", text)
		}
		resp.Body.Close()
		u, _ := tr.Lookup("http://a")
		if s := u.Stats(); s.Throttled != 1 || !s.Paused.Equal(c.time(time.Minute)) {
			t.Errorf("%+v", s)
		}
		u.Resume()
		if _, err := tr.RoundTrip(httptest.NewRequest("GET", "http://a/error", nil)); err != failing {
			t.Error(err)
		}
		if want := []Signal{SignalAnswered, SignalIgnored}; !slices.Equal(outcomes, want) {
			t.Errorf("it was given %v, want %v", outcomes, want)
		}
	})
}
