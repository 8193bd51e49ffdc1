package gate

import (
	"encoding/json"
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

// through sends a request of this key through the gate to a handler, or to none, and returns the
// answer.
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
	got := strings.Join(resp.Header.Values("RateLimit"), ", ") + " | " +
		resp.Header.Get("Retry-After")
	if resp.StatusCode != status || got != fields {
		t.Errorf("%d %s, want %d %s", resp.StatusCode, got, status, fields)
	}
}

// wantStats compares the gate's counts.
func wantStats(t *testing.T, g *Gate, want Stats) {
	t.Helper()
	got := g.Stats()
	if want.Limits = got.Limits; got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestRate(t *testing.T) {
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
		wantStats(t, g, Stats{Admitted: 6, RefusedByRate: 3, Keys: 2})
	})
}

func TestBurst(t *testing.T) {
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

func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		g := &Gate{Limits: Limits{InFlight: 2}}
		end := occupy(g, "a", 2)
		wantAnswer(t, through(g, "b", nil), 200, ` | `)
		wantAnswer(t, through(g, "a", nil), 429, `"default-in-flight";r=0 | 1`)
		wantStats(t, g, Stats{InFlight: 2, Admitted: 3, RefusedByInFlight: 1, Keys: 2})
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
		wantStats(t, g, Stats{Admitted: 6, RefusedByInFlight: 4, Keys: 2})
	})
}

// A request that is refused by one limit is told when it is within both.
func TestBothLimits(t *testing.T) {
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

func TestZero(t *testing.T) {
	g := new(Gate)
	for range 100 {
		resp := through(g, "a", nil)
		if wantAnswer(t, resp, 200, ` | `); len(resp.Header.Values("RateLimit-Policy")) > 0 {
			t.Error(resp.Header)
		}
	}
	wantStats(t, g, Stats{Admitted: 100, Keys: 1})
}

func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{Limits: Limits{Rate: 10}, Status: http.StatusServiceUnavailable,
			Key: func(*http.Request) string { return "" }}
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
func TestNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		each := &Gate{Limits: Limits{Rate: 1}}
		all := &Gate{Limits: Limits{Rate: 1.5, InFlight: 7}, Name: "all",
			Key: func(*http.Request) string { return "" }}
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
		want := []string{`"default";q=600;w=600`, `"all";q=900;w=600`,
			`"all-in-flight";q=7;qu="concurrent-requests"`}
		if got := resp.Header.Values("RateLimit-Policy"); !slices.Equal(got, want) {
			t.Errorf("policies %q, want %q", got, want)
		}
		wantAnswer(t, send("a"), 429, `"default";r=0;t=1 | 1`)
		wantAnswer(t, send("b"), 429, `"default";r=600;t=600, "all";r=0;t=1 | 1`)
		wantStats(t, all, Stats{Admitted: 1, RefusedByRate: 1, Keys: 1})
	})
}

func TestShared(t *testing.T) {
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
		wantStats(t, g, Stats{Admitted: 1, RefusedByRate: 1, Keys: 1})
	})
}

func TestSetLimits(t *testing.T) {
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

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		gate *Gate
		want string
	}{
		{&Gate{}, ""},
		{&Gate{Limits: Limits{Rate: rate.Inf, Burst: 5, InFlight: 1}, Status: 429,
			Name: "per user"}, ""},
		{&Gate{Limits: Limits{Rate: -1}}, "gate: Limits.Rate is -1, want 0 (none) or more"},
		{
			&Gate{Limits: Limits{Rate: rate.Limit(math.NaN()), Burst: -2, InFlight: -3}},
			"gate: Limits.Rate is NaN, want 0 (none) or more\n" +
				"gate: Limits.Burst is -2, want 0 (none) or more\n" +
				"gate: Limits.InFlight is -3, want 0 (none) or more",
		},
		{&Gate{Name: "a\x7fb"}, `gate: Gate.Name is "a\x7fb", want printable ASCII`},
		{&Gate{Name: "\xff"}, `gate: Gate.Name is "\xff", want printable ASCII`},
		{&Gate{Status: 200}, "gate: Gate.Status is 200, want 429, 503, or 0 for 429"},
		{&Gate{Name: "für alle"}, `gate: Gate.Name is "für alle", want printable ASCII`},
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
				if err, _ := recover().(error); (err != nil) != (test.want != "") || err != nil &&
					err.Error() != test.want {
					t.Errorf("Handler panics with %v, want %q", err, test.want)
				}
			}()
			if resp := through(test.gate, "a", nil); resp.StatusCode != 200 {
				t.Errorf("%d", resp.StatusCode)
			}
		}()
	}
}

// Whatever the limits, no sum overflows.
func TestExtremes(t *testing.T) {
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
func TestFieldsAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gate{Limits: Limits{Rate: 10, InFlight: 3}, Name: `per "user"`}
		read := func() hint.Hints {
			resp := through(g, "a", nil)
			return hint.Parse(resp.StatusCode, resp.Header, time.Now())
		}
		inFlight := hint.Limit{Policy: `per "user"-in-flight`, Unit: "concurrent-requests",
			Limit: 3, Remaining: -1, Reset: -1, Window: -1}
		quota := hint.Limit{Policy: `per "user"`, Unit: "requests", Limit: 6000, Remaining: 6000,
			Reset: 10 * time.Minute, Window: 10 * time.Minute}
		want := hint.Hints{Limits: []hint.Limit{quota, inFlight}}
		if got := read(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("admitted: %+v, want %+v", got, want)
		}
		quota.Remaining, quota.Reset = 0, time.Second
		want = hint.Hints{Wait: time.Second, Known: true, Source: "retry-after", Throttled: true,
			Limits: []hint.Limit{quota, inFlight}}
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

// A heavy request uses as many tokens as it weighs, and no more of those in flight.
func TestWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		weight := 1
		g := &Gate{
			Limits: Limits{Rate: 1, Burst: 4, InFlight: 1},
			Weight: func(*http.Request) int { return weight },
		}
		for _, test := range []struct {
			at     time.Duration
			weight int
			status int
			fields string
		}{
			{0, 3, 200, `"default";r=600;t=600 | `},
			{0, 2, 429, `"default";r=0;t=1 | 1`},
			{0, 1, 200, `"default";r=600;t=600 | `},
			{0, 1, 429, `"default";r=0;t=1 | 1`},
			{0, 0, 200, `"default";r=600;t=600 | `}, // free
			{0, -1, 200, `"default";r=600;t=600 | `},
			{0, 9, 429, `"default";r=0;t=4 | 4`}, // heavier than the burst: until all is refilled
			{3900 * ms, 9, 200, `"default";r=599;t=600 | `},
			// nine were used, and the burst is only four
			{4000 * ms, 4, 429, `"default";r=0;t=9 | 9`},
			{8000 * ms, 1, 429, `"default";r=0;t=2 | 2`},
			{10000 * ms, 1, 200, `"default";r=600;t=600 | `},
			{time.Hour, math.MaxInt, 200, `"default";r=600;t=600 | `},
			{2 * time.Hour, 0, 200, `"default";r=600;t=600 | `},
			{2 * time.Hour, 1, 429, `"default";r=0;t=576457150 | 576457150`},
		} {
			c.until(test.at)
			weight = test.weight
			wantAnswer(t, through(g, "a", nil), test.status, test.fields)
		}
		wantStats(t, g, Stats{Admitted: 8, RefusedByRate: 6, Keys: 1})

		free := &Gate{Limits: Limits{InFlight: 1}, Weight: g.Weight}
		for _, weight = range []int{math.MaxInt, math.MaxInt, math.MinInt} {
			wantAnswer(t, through(free, "a", nil), 200, " | ")
		}
	})
}

// Each key has the limits that LimitsFor returns at that time; what it has used stays used.
func TestLimitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		plans := map[string]Limits{
			"free": {Rate: 0.1},
			"paid": {Rate: 1, Burst: 2},
		}
		g := &Gate{
			Limits:    Limits{Rate: 100},
			LimitsFor: func(key string) Limits { return plans[key] },
		}
		wantAnswer(t, through(g, "free", nil), 200, `"default";r=100;t=1000 | `)
		wantAnswer(t, through(g, "free", nil), 429, `"default";r=0;t=10 | 10`)
		for range 2 {
			wantAnswer(t, through(g, "paid", nil), 200, `"default";r=600;t=600 | `)
		}
		wantAnswer(t, through(g, "paid", nil), 429, `"default";r=0;t=1 | 1`)
		for range 9 {
			wantAnswer(t, through(g, "staff", nil), 200, ` | `)
		}
		if err := g.SetLimits(Limits{Rate: 5}); err == nil {
			t.Error("limits were set that no key has")
		}

		plans["free"] = Limits{Rate: 0.5} // the one token used is due after 2 s
		wantAnswer(t, through(g, "free", nil), 429, `"default";r=0;t=2 | 2`)
		c.until(2000 * ms)
		wantAnswer(t, through(g, "free", nil), 200, `"default";r=300;t=600 | `)
		plans["free"] = Limits{InFlight: 1}
		wantAnswer(t, through(g, "free", nil), 200, ` | `)
		defer occupy(g, "free", 1)()
		wantAnswer(t, through(g, "free", nil), 429, `"default-in-flight";r=0 | 1`)

		plans["paid"] = Limits{Rate: -1}
		func() {
			defer func() {
				want := "gate: Limits.Rate is -1, want 0 (none) or more"
				if err, _ := recover().(error); err == nil || err.Error() != want {
					t.Errorf("panic %v, want %q", err, want)
				}
			}()
			through(g, "paid", nil)
		}()
		wantStats(t, g, Stats{InFlight: 1, Admitted: 15, RefusedByRate: 3, RefusedByInFlight: 1,
			Keys: 3})
	})
}

// A LimitsFor that invents limits costs no more memory than one with as many plans.
func TestLimitsForInvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := &Gate{LimitsFor: func(string) Limits { n++; return Limits{Rate: 1, Burst: n} }}
		for range 3 * maxRules {
			// one more each time
			wantAnswer(t, through(g, "a", nil), 200, `"default";r=600;t=600 | `)
		}
		if n := len(g.mu.others); n > maxRules {
			t.Errorf("%d rules are kept", n)
		}
	})
}

func TestRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		refuse http.HandlerFunc
		status int
		body   string
	}{
		"a body": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }, 503,
			"{}"},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, 503, ""},
		"a status": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(420)
			io.WriteString(w, "calm")
		}, 420, "calm"},
		"only one": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(420) }, 420, ""},
		"hints first": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, r.URL.Path+" "+w.Header().Get("Retry-After"))
		}, 503, "/ 1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &Gate{Limits: Limits{Rate: 1}, Status: 503, Refuse: test.refuse}
				s := newSite(t, g.Handler(http.HandlerFunc(ok)))
				client := &http.Client{Transport: s.base}
				for _, want := range []struct {
					status       int
					fields, body string
				}{
					{200, `"default";r=600;t=600 | `, "ok"},
					{test.status, `"default";r=0;t=1 | 1`, test.body},
				} {
					resp, err := client.Get("http://a/")
					if err != nil {
						t.Fatal(err)
					}
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					wantAnswer(t, resp, want.status, want.fields)
					if string(body) != want.body {
						t.Errorf("body %q, want %q", body, want.body)
					}
				}
			})
		})
	}
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		g := &Gate{
			Limits: Limits{Rate: 0.1, Burst: 2, InFlight: 1},
			Skip:   func(r *http.Request) bool { return r.RemoteAddr == "health" },
		}
		g.Observe = func(e Event) {
			if e.Request.URL.Path != "/" {
				t.Errorf("path %s", e.Request.URL.Path)
			}
			text, err := json.Marshal(e)
			if err != nil {
				t.Error(err)
			}
			got = append(got, fmt.Sprint(g.Stats().InFlight, " ", e.LogValue(), " ", string(text)))
			if e.Key == "panic" {
				panic("observed")
			}
		}
		through(g, "health", nil)
		end := occupy(g, "a", 1)
		through(g, "a", nil)
		end()
		through(g, "a", nil)
		through(g, "a", nil)
		func() {
			defer func() { recover() }()
			through(g, "panic", nil)
		}()
		want := []string{
			`1 [kind=admitted key=a] {"Kind":"admitted","Key":"a","Weight":1}`,
			`1 [kind=refused by in flight key=a retry_after=1s] {"Kind":"refused by in flight","Key":"a","Weight":1,"RetryAfter":1000000000}`,
			`1 [kind=admitted key=a] {"Kind":"admitted","Key":"a","Weight":1}`,
			`0 [kind=refused by rate key=a retry_after=10s] {"Kind":"refused by rate","Key":"a","Weight":1,"RetryAfter":10000000000}`,
			`1 [kind=admitted key=panic] {"Kind":"admitted","Key":"panic","Weight":1}`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if n := g.Stats().InFlight; n != 0 {
			t.Errorf("in flight %d after a panic of Observe", n)
		}
	})
}

func TestEventKindText(t *testing.T) {
	for k := range EventKind(len(eventKinds)) {
		text, err := k.MarshalText()
		var back EventKind
		if err != nil || back.UnmarshalText(text) != nil || back != k ||
			string(text) != k.String() {
			t.Errorf("%d: %s, %v, %d", k, text, err, back)
		}
	}
	if got := EventKind(9).String(); got != "EventKind(9)" {
		t.Error(got)
	}
	if err := new(EventKind).UnmarshalText([]byte("served")); err == nil ||
		err.Error() != `gate: "served" is no kind of event` {
		t.Error(err)
	}
}

// What LimitsFor decides is not one set of limits.
func TestStatsWithLimitsFor(t *testing.T) {
	g := &Gate{Limits: Limits{Rate: 1},
		LimitsFor: func(string) Limits { return Limits{Rate: 2} }}
	if got := g.Stats().Limits; got != (Limits{}) {
		t.Errorf("limits %+v in force", got)
	}
}
