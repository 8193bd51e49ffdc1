package throttle

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/hint"
	"golang.org/x/time/rate"
)

// through sends a request of this key through the gate to a handler, or to none,
// and returns the answer.
func through(g *Gate, key string, handle http.HandlerFunc) *http.Response {
	if handle == nil {
		handle = ok
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = key
	w := httptest.NewRecorder()
	g.Handler(handle).ServeHTTP(w, r)
	return w.Result()
}

// wantAnswer compares an answer's status and fields, as "RateLimit | Retry-After".
func wantAnswer(t *testing.T, resp *http.Response, status int, fields string) {
	t.Helper()
	got := strings.Join(resp.Header.Values("RateLimit"), ", ") + " | " + resp.Header.Get("Retry-After")
	if resp.StatusCode != status || got != fields {
		t.Errorf("%d %s, want %d %s", resp.StatusCode, got, status, fields)
	}
}

// wantStats compares the gate's counts.
func wantStats(t *testing.T, g *Gate, want GateStats) {
	t.Helper()
	got := g.Stats()
	if want.Limits = got.Limits; got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestGateRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		g := &Gate{Limits: Limits{Rate: 10}}
		for _, test := range []struct {
			at     time.Duration
			key    string
			status int
			fields string
		}{
			{0, "a", 200, `"default";r=6000;t=600 | `},
			{0, "b", 200, `"default";r=6000;t=600 | `},
			{49 * ms, "a", 429, `"default";r=0;t=1 | 1`},
			{50 * ms, "a", 200, `"default";r=5995;t=600 | `}, // 50 ms early
			{149 * ms, "a", 429, `"default";r=0;t=1 | 1`},
			{150 * ms, "a", 200, `"default";r=5995;t=600 | `},
			{300 * ms, "a", 200, `"default";r=6000;t=600 | `},
			{2000 * ms, "a", 200, `"default";r=6000;t=600 | `},
			{2049 * ms, "a", 429, `"default";r=0;t=1 | 1`}, // nothing was gathered
		} {
			c.until(test.at)
			wantAnswer(t, through(g, test.key, nil), test.status, test.fields)
		}
		wantStats(t, g, GateStats{Admitted: 6, RefusedByRate: 3, Keys: 2})
	})
}

func TestGateBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		g := &Gate{Limits: Limits{Rate: 0.5, Burst: 3}}
		for range 3 {
			wantAnswer(t, through(g, "a", nil), 200, `"default";r=300;t=600 | `)
		}
		wantAnswer(t, through(g, "a", nil), 429, `"default";r=0;t=2 | 2`)
		c.until(1799 * ms)
		wantAnswer(t, through(g, "a", nil), 429, `"default";r=0;t=1 | 1`)
		c.until(1800 * ms) // a tenth of 1/rate early
		wantAnswer(t, through(g, "a", nil), 200, `"default";r=299;t=600 | `)
		wantAnswer(t, through(g, "a", nil), 429, `"default";r=0;t=3 | 3`)
		c.until(4800 * ms) // when told
		wantAnswer(t, through(g, "a", nil), 200, `"default";r=300;t=600 | `)
		c.until(time.Hour)
		for range 3 {
			wantAnswer(t, through(g, "a", nil), 200, `"default";r=300;t=600 | `)
		}
		wantAnswer(t, through(g, "a", nil), 429, `"default";r=0;t=2 | 2`)
	})
}

// occupy begins n requests of the key and returns what ends them.
func occupy(g *Gate, key string, n int) (end func()) {
	done := make(chan struct{})
	for range n {
		go through(g, key, func(http.ResponseWriter, *http.Request) { <-done })
	}
	synctest.Wait()
	return func() { close(done); synctest.Wait() }
}

func TestGateInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		g := &Gate{Limits: Limits{InFlight: 2}}
		end := occupy(g, "a", 2)
		wantAnswer(t, through(g, "b", nil), 200, ` | `)
		wantAnswer(t, through(g, "a", nil), 429, `"default-in-flight";r=0 | 1`)
		wantStats(t, g, GateStats{InFlight: 2, Admitted: 3, RefusedByInFlight: 1, Keys: 2})
		// Of how long they take nothing is known but their age.
		c.until(5001 * ms)
		wantAnswer(t, through(g, "a", nil), 429, `"default-in-flight";r=0 | 6`)
		end()
		wantAnswer(t, through(g, "a", nil), 200, ` | `) // instantly: 7/8 of 5.001 s is the mean
		end = occupy(g, "a", 2)
		wantAnswer(t, through(g, "a", nil), 429, `"default-in-flight";r=0 | 5`)
		c.until(time.Hour)
		wantAnswer(t, through(g, "a", nil), 429, `"default-in-flight";r=0 | 60`) // at most
		end()
		wantStats(t, g, GateStats{Admitted: 6, RefusedByInFlight: 4, Keys: 2})
	})
}

// A request that is refused by one limit is told when it is within both.
func TestGateBothLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		g := &Gate{Limits: Limits{Rate: 0.1, InFlight: 1}}
		end := occupy(g, "a", 1)
		wantAnswer(t, through(g, "a", nil), 429, `"default-in-flight";r=0 | 10`)
		end()
		wantAnswer(t, through(g, "a", nil), 429, `"default";r=0;t=10 | 10`)
		c.until(10 * time.Second) // the first refusal cost no token
		wantAnswer(t, through(g, "a", nil), 200, `"default";r=100;t=1000 | `)
	})
}

func TestGateZero(t *testing.T) {
	g := new(Gate)
	for range 100 {
		resp := through(g, "a", nil)
		if wantAnswer(t, resp, 200, ` | `); len(resp.Header.Values("RateLimit-Policy")) > 0 {
			t.Error(resp.Header)
		}
	}
	wantStats(t, g, GateStats{Admitted: 100, Keys: 1})
}

func TestGateRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{Limits: Limits{Rate: 10}, Status: http.StatusServiceUnavailable, Key: func(*http.Request) string { return "" }}
		through(g, "a", nil)
		resp := through(g, "b", nil)
		wantAnswer(t, resp, 503, `"default";r=0;t=1 | 1`)
		body, _ := io.ReadAll(resp.Body)
		if got := string(body); got != "too many requests: at most 6000 in 600 s, evenly spaced; try again in 1 s\n" {
			t.Errorf("body %q", got)
		}
		if err := g.SetLimits(Limits{InFlight: 1}); err != nil {
			t.Fatal(err)
		}
		defer occupy(g, "a", 1)()
		body, _ = io.ReadAll(through(g, "b", nil).Body)
		if got := string(body); got != "too many requests at once: at most 1; try again in 1 s\n" {
			t.Errorf("body %q", got)
		}
	})
}

// Two gates, one around the other: their fields add up.
func TestGateNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		each := &Gate{Limits: Limits{Rate: 1}}
		all := &Gate{Limits: Limits{Rate: 1.5, InFlight: 7}, Name: "all", Key: func(*http.Request) string { return "" }}
		handler := each.Handler(all.Handler(http.HandlerFunc(ok)))
		send := func(key string) *http.Response {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = key
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w.Result()
		}
		resp := send("a")
		wantAnswer(t, resp, 200, `"default";r=600;t=600, "all";r=900;t=600 | `)
		want := []string{`"default";q=600;w=600`, `"all";q=900;w=600`, `"all-in-flight";q=7;qu="concurrent-requests"`}
		if got := resp.Header.Values("RateLimit-Policy"); !slices.Equal(got, want) {
			t.Errorf("policies %q, want %q", got, want)
		}
		wantAnswer(t, send("a"), 429, `"default";r=0;t=1 | 1`)
		wantAnswer(t, send("b"), 429, `"default";r=600;t=600, "all";r=0;t=1 | 1`)
		wantStats(t, all, GateStats{Admitted: 1, RefusedByRate: 1, Keys: 1})
	})
}

func TestGateShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{
			Limits: Limits{Rate: 1},
			Skip:   func(r *http.Request) bool { return r.URL.Path == "/health" },
		}
		mux := http.NewServeMux()
		for _, path := range []string{"/a", "/b", "/health"} {
			mux.Handle(path, g.Handler(http.HandlerFunc(ok)))
		}
		for path, status := range map[string]int{"/a": 200, "/b": 200, "/health": 200} {
			if path != "/health" && g.Stats().Admitted > 0 {
				status = 429
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			if w.Code != status {
				t.Errorf("%s: %d, want %d", path, w.Code, status)
			}
			if path == "/health" && len(w.Header()["Ratelimit"]) > 0 {
				t.Error("a skipped request's answer tells a quota")
			}
		}
		wantStats(t, g, GateStats{Admitted: 1, RefusedByRate: 1, Keys: 1})
	})
}

func TestGateSetLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		g := &Gate{Limits: Limits{Rate: 1, Burst: 10}}
		set := func(limits Limits) {
			t.Helper()
			if err := g.SetLimits(limits); err != nil {
				t.Fatal(err)
			}
			if got := g.Stats().Limits; got != limits {
				t.Errorf("limits %+v, want %+v", got, limits)
			}
		}
		for range 4 {
			wantAnswer(t, through(g, "a", nil), 200, `"default";r=600;t=600 | `)
		}
		// Four are used, whatever the rate. Of a burst of two, three must come back.
		set(Limits{Rate: 0.1, Burst: 2})
		wantAnswer(t, through(g, "a", nil), 429, `"default";r=0;t=30 | 30`)
		set(Limits{Rate: 2, Burst: 2})
		wantAnswer(t, through(g, "a", nil), 429, `"default";r=0;t=2 | 2`)
		c.until(1500 * ms)
		wantAnswer(t, through(g, "a", nil), 200, `"default";r=1200;t=600 | `)
		wantAnswer(t, through(g, "a", nil), 429, `"default";r=0;t=1 | 1`)
		set(Limits{})
		wantAnswer(t, through(g, "a", nil), 200, ` | `)
		set(Limits{Rate: 2}) // from none to one: nothing is owed
		wantAnswer(t, through(g, "a", nil), 200, `"default";r=1200;t=600 | `)

		end := occupy(g, "b", 1)
		set(Limits{InFlight: 2})
		end2 := occupy(g, "b", 1)
		wantAnswer(t, through(g, "b", nil), 429, `"default-in-flight";r=0 | 1`)
		set(Limits{InFlight: 1}) // those in flight stay so
		end()
		wantAnswer(t, through(g, "b", nil), 429, `"default-in-flight";r=0 | 1`)
		end2()
		wantAnswer(t, through(g, "b", nil), 200, ` | `)

		before := g.Stats()
		if err := g.SetLimits(Limits{Rate: -1}); err == nil || g.Stats() != before {
			t.Errorf("%v, %+v", err, g.Stats())
		}
	})
}

func TestGateValidate(t *testing.T) {
	for _, test := range []struct {
		gate *Gate
		want string
	}{
		{&Gate{}, ""},
		{&Gate{Limits: Limits{Rate: rate.Inf, Burst: 5, InFlight: 1}, Status: 429, Name: "per user"}, ""},
		{&Gate{Limits: Limits{Rate: -1}}, "throttle: Limits.Rate is -1, want 0 (not given) or more"},
		{&Gate{Limits: Limits{Bandwidth: 5}}, "throttle: Limits.Bandwidth is 5, want 0: a Gate limits no bytes"},
		{&Gate{Status: 200}, "throttle: Gate.Status is 200, want 429, 503, or 0 for 429"},
		{&Gate{Name: "für alle"}, `throttle: Gate.Name is "für alle", want printable ASCII`},
	} {
		got := ""
		if err := test.gate.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
		func() {
			defer func() {
				if err, _ := recover().(error); (err != nil) != (test.want != "") || err != nil && err.Error() != test.want {
					t.Errorf("Handler panics with %v, want %q", err, test.want)
				}
			}()
			if resp := through(test.gate, "a", nil); resp.StatusCode != 200 {
				t.Errorf("%d", resp.StatusCode)
			}
		}()
	}
	// What is not valid at first can be put right.
	g := &Gate{Limits: Limits{InFlight: -1}}
	if s := g.Stats(); s.Limits.InFlight != -1 {
		t.Errorf("%+v", s)
	}
	if err := g.SetLimits(Limits{InFlight: 1}); err != nil {
		t.Error(err)
	}
	wantAnswer(t, through(g, "a", nil), 200, ` | `)
	wantStats(t, g, GateStats{Admitted: 1, Keys: 1})
}

// Whatever the limits, no sum overflows.
func TestGateExtremes(t *testing.T) {
	for _, limits := range []Limits{
		{Rate: 1e-300, Burst: math.MaxInt / 2},
		{Rate: 1e-300},
		{Rate: 1e300},
		{Rate: 1e9, Burst: math.MaxInt / 2},
		{Rate: rate.Every(24 * time.Hour), Burst: 1000},
		{InFlight: math.MaxInt / 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := &Gate{Limits: limits}
			for range 10 {
				resp := through(g, "a", nil)
				h := hint.Parse(resp.StatusCode, resp.Header, time.Now())
				if h.Malformed || resp.StatusCode == 429 != (h.Wait > 0) || h.Wait < 0 {
					t.Errorf("%+v: %d %v: %+v", limits, resp.StatusCode, resp.Header, h)
				}
				for _, a := range g.mu.accounts {
					if a.due < 0 {
						t.Errorf("%+v: due at %v", limits, a.due)
					}
				}
				time.Sleep(24 * time.Hour)
			}
		})
	}
}

// What the gate writes is what a client reads.
func TestGateFieldsAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{Limits: Limits{Rate: 10, InFlight: 3}, Name: `per "user"`}
		read := func() hint.Hints {
			resp := through(g, "a", nil)
			return hint.Parse(resp.StatusCode, resp.Header, time.Now())
		}
		inFlight := hint.Limit{Policy: `per "user"-in-flight`, Unit: "concurrent-requests", Limit: 3, Remaining: -1, Reset: -1, Window: -1}
		quota := hint.Limit{Policy: `per "user"`, Unit: "requests", Limit: 6000, Remaining: 6000, Reset: 10 * time.Minute, Window: 10 * time.Minute}
		want := hint.Hints{Limits: []hint.Limit{quota, inFlight}}
		if got := read(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("admitted: %+v, want %+v", got, want)
		}
		quota.Remaining, quota.Reset = 0, time.Second
		want = hint.Hints{Wait: time.Second, Known: true, Source: "retry-after", Throttled: true, Limits: []hint.Limit{quota, inFlight}}
		if got := read(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("refused by rate: %+v, want %+v", got, want)
		}
		if err := g.SetLimits(Limits{InFlight: 3}); err != nil {
			t.Fatal(err)
		}
		defer occupy(g, "a", 3)()
		inFlight.Remaining = 0
		want.Limits = []hint.Limit{inFlight}
		if got := read(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("refused by in flight: %+v, want %+v", got, want)
		}
	})
}
