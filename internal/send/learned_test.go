package send

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/lab"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/throttle"
)

// Only what a server showed by accepting requests is called learned.
func TestLearnedByEvidence(t *testing.T) {
	onFakeTime(t, 40, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, func(w *world) {
		w.GiveUpAfter = time.Minute
		if s := w.run(); s.Learned != (progress.Learned{}) {
			t.Errorf("of a server that accepts nothing it learned %+v", s.Learned)
		}
	})
}

// A number in flight is learned where more was refused, or where all of it was in use for a time; not where the files or a rate were
// the limit.
func TestCrowd(t *testing.T) {
	type step struct {
		lasts    time.Duration
		limit    int
		accepted int // in all that time
		refusals int64
		idle     bool // the number did not hold the run back
	}
	const s = time.Second
	for _, row := range []struct {
		name  string
		rate  rate.Limit // that was found; 0: none was
		given rate.Limit
		steps []step
		want  int
	}{
		{name: "the start", steps: []step{{lasts: s, limit: 94, accepted: 600}}},
		{name: "few seconds in use", steps: []step{{lasts: 9 * s, limit: 7, accepted: 600}}},
		{name: "in use", steps: []step{{lasts: 11 * s, limit: 7, accepted: 600}}, want: 7},
		{name: "in use, and probed", steps: []step{{lasts: 4 * s, limit: 7, accepted: 60}, {lasts: s, limit: 8, accepted: 60}, {lasts: 7 * s, limit: 7, accepted: 60}}, want: 7},
		{name: "not in use", steps: []step{{lasts: 30 * s, limit: 7, accepted: 600, idle: true}}},
		{name: "one large file", steps: []step{{lasts: 30 * s, limit: 128, accepted: 1}}},
		{name: "more is refused", steps: []step{{lasts: s, limit: 8, accepted: 20}, {lasts: s, limit: 4, accepted: 20, refusals: 4}}, want: 4},
		{name: "few were accepted since", steps: []step{{lasts: s, limit: 8, accepted: 20}, {lasts: s, limit: 4, accepted: 9, refusals: 4}}},
		{name: "more is refused again", steps: []step{{lasts: s, limit: 8, accepted: 20}, {lasts: s, limit: 4, accepted: 20, refusals: 4}, {lasts: s, limit: 5, accepted: 5}, {lasts: s, limit: 4, accepted: 5, refusals: 1}}, want: 4},
		{name: "it takes fewer now", steps: []step{{lasts: s, limit: 8, accepted: 20}, {lasts: s, limit: 4, accepted: 20, refusals: 4}, {lasts: s, limit: 2, accepted: 5, refusals: 4}}},
		{name: "it takes more now", steps: []step{{lasts: s, limit: 8, accepted: 20}, {lasts: s, limit: 4, accepted: 20, refusals: 4}, {lasts: s, limit: 9, accepted: 20}}},
		{name: "it takes a little more now", steps: []step{{lasts: 11 * s, limit: 19, accepted: 600}, {lasts: s, limit: 21, accepted: 20, idle: true}}},
		{name: "more was tried", steps: []step{{lasts: 11 * s, limit: 19, accepted: 600}, {lasts: s, limit: 20, accepted: 20, idle: true}}, want: 19},
		{name: "one alone is refused", steps: []step{{lasts: s, limit: 8, accepted: 20}, {lasts: s, limit: 1, accepted: 9, refusals: 1}, {lasts: s, limit: 1, accepted: 20, refusals: 1}}},
		{name: "a rate is refused", rate: 9.8, steps: []step{{lasts: s, limit: 8, accepted: 20}, {lasts: 30 * s, limit: 1, accepted: 300, refusals: 4, idle: true}}},
		{name: "the rate that was given is refused", rate: 14.9, given: 40, steps: []step{{lasts: s, limit: 8, accepted: 20}, {lasts: 30 * s, limit: 1, accepted: 300, refusals: 4, idle: true}}},
		{name: "a rate was given and is not refused", rate: 40, given: 40, steps: []step{{lasts: s, limit: 8, accepted: 20}, {lasts: s, limit: 4, accepted: 20, refusals: 4}}, want: 4},
	} {
		r, server := &run{}, &server{}
		stats := throttle.UpstreamStats{Learned: true, Phase: throttle.PhaseSteady, Rate: rate.Inf}
		stats.Limits.Rate = row.given
		if row.rate > 0 {
			stats.Rate = row.rate
		}
		now, accepted := time.Unix(0, 0), 0.0
		for _, step := range row.steps {
			stats.Limit, stats.MaxInFlight, stats.Holding = step.limit, max(stats.MaxInFlight, step.limit), throttle.ByConcurrency
			if step.idle {
				stats.Holding = throttle.Nothing
			}
			stats.Throttled += step.refusals
			server.pressed.told = stats.Throttled > 0
			for range step.lasts / tick {
				now = now.Add(tick)
				accepted += float64(step.accepted) / float64(step.lasts/tick)
				stats.Succeeded = int64(accepted + 1e-6)
				server.accepted = stats.Succeeded
				r.learn(server, stats, now)
			}
		}
		if got := int(server.learned.InFlight); got != row.want {
			t.Errorf("%s: it learned %d in flight, want %d", row.name, got, row.want)
		}
	}
}

// A run against a server that serves so many requests at once, and refuses all others, ends with that number.
func TestNumberIsLearned(t *testing.T) {
	c := etaCase{preset: "conns", params: "n=3&service=200ms", sizes: files(200, 1)}
	if _, s := c.run(t); s.Learned != (progress.Learned{InFlight: 3}) {
		t.Errorf("it learned %v", s.Learned)
	}
}

// The progress calls a rate learned only if the server has shown that it takes it.
func TestTriedRateIsNotLearned(t *testing.T) {
	for _, c := range []struct {
		found, rate float64
		reason      string
		trying      bool
	}{
		{0, 5.74, "throttled", true},
		{5.74, 5.74, "throttled", false},
		{5.74, 5.8, "throttled", false}, // about the same
		{5.74, 16.8, "throttled", true},
		{0, 5.74, "quota", false}, // the server states it
	} {
		r, s := &run{}, &server{pace: plateau{found: c.found}}
		l := r.found(s, throttle.UpstreamStats{Learned: true, Rate: rate.Limit(c.rate), Limit: math.MaxInt, Phase: throttle.PhaseSteady, Reason: c.reason})
		if l.Trying != c.trying || l.Rate == 0 {
			t.Errorf("%+v: %+v", c, l)
		}
	}
}

// A rate that was given and is not what the server takes is said at the end.
func TestGivenRateTooFast(t *testing.T) {
	for _, c := range []struct {
		given, taken float64
		fixed        bool
		want         string
	}{
		{4, 3, false, "the server takes 3/s, not 4/s: give --rps 3"},
		{4, 3.96, false, ""}, // it counts strictly
		{4, 4, false, ""},
		{4, 3, true, ""},
		{0, 3, false, ""},
		{4, 0, false, ""},
		{1000, 12.345, false, "the server takes 12.3/s, not 1,000/s: give --rps 12.3"},
		{2000, 1234.5, false, "the server takes 1,234/s, not 2,000/s: give --rps 1234"},
	} {
		s := &server{key: "http://127.0.0.1", pace: plateau{found: c.taken}}
		r := &run{servers: map[string]*server{s.key: s}}
		r.Limits.Rate, r.Limits.Fixed = rate.Limit(c.given), c.fixed
		if got := strings.Join(r.tooFast(), "\n"); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// The rate that a server is said to take is about the one that it takes, whatever was being tried when the run ended.
func TestPaceIsTrue(t *testing.T) {
	for _, row := range []struct {
		params string
		files  int
		given  rate.Limit
		true   float64
		silent bool // nothing can be known
	}{
		{params: "rate=4&burst=4", files: 60, given: 6, true: 4, silent: true},
		{params: "rate=4&burst=4", files: 300, given: 6, true: 4},
		{params: "rate=3&burst=3", files: 200, given: 6, true: 3},
		{params: "rate=20&burst=20", files: 1500, given: 40, true: 20},
		{params: "rate=5&burst=20", files: 60, true: 5, silent: true},
		{params: "rate=5&burst=20", files: 300, true: 5},
		{params: "rate=20&burst=20", files: 1500, true: 20},
	} {
		c := etaCase{preset: "quota", params: row.params, sizes: files(row.files, 1), limits: throttle.Limits{Rate: row.given}}
		_, s := c.run(t)
		said := float64(s.Learned.Rate)
		for _, note := range s.Notes {
			if _, advice, ok := strings.Cut(note, "give --rps "); ok {
				var err error
				if said, err = strconv.ParseFloat(advice, 64); err != nil {
					t.Fatal(err)
				}
			}
		}
		if silent := said == 0; silent != row.silent || !silent && math.Abs(said-row.true) > 0.15*row.true { // a burst may last for as long as we look
			t.Errorf("%s, %d files: it says that the server takes %v", row.params, row.files, said)
		}
	}
}

func TestPlateau(t *testing.T) {
	type step struct {
		lasts    time.Duration
		rate     float64
		share    float64 // of it that is used
		refusals int64
	}
	for _, row := range []struct {
		name  string
		steps []step
		found float64
	}{
		{"long enough", []step{{11 * time.Second, 4, 1, 0}}, 4},
		{"too short", []step{{9 * time.Second, 4, 1, 0}}, 0},
		{"too few", []step{{30 * time.Second, 0.3, 1, 0}}, 0},
		{"not used", []step{{30 * time.Second, 4, 0.5, 0}}, 0},
		{"refused meanwhile", []step{{6 * time.Second, 4, 1, 0}, {6 * time.Second, 4, 1, 1}}, 0},
		{"refused afterwards", []step{{11 * time.Second, 4, 1, 0}, {time.Second, 3.9, 1, 1}}, 0},
		{"more is refused", []step{{11 * time.Second, 4, 1, 0}, {time.Second, 5, 1, 0}, {time.Second, 4.1, 1, 1}}, 4},
		{"it grows without end", []step{{6 * time.Second, 4, 1, 0}, {6 * time.Second, 5, 1, 0}, {6 * time.Second, 6, 1, 0}}, 0},
		{"less, for another reason", []step{{11 * time.Second, 4, 1, 0}, {time.Second, 3, 1, 0}}, 0},
		{"no rate any more", []step{{11 * time.Second, 4, 1, 0}, {time.Second, 0, 1, 0}}, 0},
	} {
		var p plateau
		var s throttle.UpstreamStats
		now, accepted := time.Unix(0, 0), 0.0
		for _, step := range row.steps {
			s.Throttled += step.refusals
			for range step.lasts / tick {
				now = now.Add(tick)
				accepted += step.rate * step.share * tick.Seconds()
				s.Succeeded = int64(accepted)
				p.look(step.rate, s, now)
			}
		}
		if p.found != row.found {
			t.Errorf("%s: %v, want %v", row.name, p.found, row.found)
		}
	}
}

// What is said of each of several servers comes from it alone, and no pace is advised, which would be for all of them.
func TestLearnedOfSeveralServers(t *testing.T) {
	for _, given := range []rate.Limit{0, 6} {
		onFakeTime(t, 1, nil, func(w *world) {
			var listeners []*memnet.Listener
			for _, params := range []url.Values{{"rate": {"4"}, "burst": {"4"}}, {"rate": {"2"}, "burst": {"2"}}, {"rate": {"100"}, "burst": {"100"}}} {
				server, err := lab.New("quota", params)
				if err != nil {
					t.Fatal(err)
				}
				l := memnet.Listen()
				defer l.Close()
				server.Start(l)
				defer server.Close()
				listeners = append(listeners, l)
			}
			w.Network.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return listeners[addr[len("127.0.0.")]-'1'].DialContext(ctx, network, addr)
			}
			var lines strings.Builder
			for i := range 400 {
				for host := range 3 {
					fmt.Fprintf(&lines, "{\"path\":%q,\"url\":\"http://127.0.0.%d/%d\"}\n", w.firstFile(), host+1, i)
				}
			}
			w.manifest(lines.String())
			w.Limits.Rate = given
			s := w.run()
			w.ended(s, exit.Delivered, 1200, 0, 0, 0, 0)
			said := make(map[string]float64)
			for _, l := range s.LearnedByServer {
				said[l.Server] = float64(l.Rate)
			}
			notes := strings.Join(s.Notes, "\n")
			if given > 0 {
				for _, m := range regexp.MustCompile(`(?m)^(\S+) takes (\S+)/s, not 6/s$`).FindAllStringSubmatch(notes, -1) {
					said[m[1]], _ = strconv.ParseFloat(m[2], 64)
				}
			}
			for _, seen := range w.watch.snapshots[1:] {
				if seen.Learned != (progress.Learned{}) && seen.Sent > 3 {
					t.Fatalf("after %v the progress says that it learned %+v, and not of which server", seen.Elapsed, seen.Learned)
				}
			}
			for i, pace := range []float64{4, 2} {
				server := fmt.Sprintf("http://127.0.0.%d", i+1)
				if got := said[server]; got != 0 && (got < 0.6*pace || got > 1.15*pace) { // none at the end, if the last was refused just then
					t.Errorf("given %v: it says that %s takes %v/s, want %v/s\n%s", given, server, got, pace, notes)
				}
				if given == 0 && !strings.Contains(w.watch.talk.String(), server+" takes ") {
					t.Errorf("it never says what %s takes", server)
				}
			}
			if given > 0 && said["http://127.0.0.3"] != 0 {
				t.Errorf("it says that the fastest takes less than it was given:\n%s", notes)
			}
			if s.Learned != (progress.Learned{}) || strings.Contains(notes, "--rps") {
				t.Errorf("given %v: of all together it learned %+v and advises\n%s", given, s.Learned, notes)
			}
		})
	}
}

// The pace of each server is found by its own counts, however they differ.
func TestLearnsEachServer(t *testing.T) {
	r := &run{servers: make(map[string]*server)}
	r.Limits.Rate = 10
	now := time.Unix(0, 0)
	stats := map[string]*throttle.UpstreamStats{
		"http://a.example": {Rate: 4, Throttled: 3, Limits: r.Limits}, "http://b.example": {Rate: 8, Throttled: 7, Limits: r.Limits},
	}
	for key := range stats {
		r.servers[key] = &server{key: key}
	}
	for i := range 15 * time.Second / tick {
		now = now.Add(tick)
		for key, s := range stats {
			s.Succeeded = int64(float64(s.Rate) * float64(i) * tick.Seconds())
			r.servers[key].accepted = s.Succeeded
			r.learn(r.servers[key], *s, now)
		}
	}
	want := "http://b.example takes 8/s, not 10/s\nhttp://a.example takes 4/s, not 10/s"
	if got := strings.Join(r.tooFast(), "\n"); got != want {
		t.Errorf("it says %q", got)
	}
	var s report.Summary
	for key, at := range stats {
		at.Learned, at.Limits, at.Limit = true, throttle.Limits{}, math.MaxInt
		r.learn(r.servers[key], *at, now)
	}
	r.fillLearned(&s)
	learned := []report.ServerLearned{
		{Server: "http://b.example", Learned: progress.Learned{Rate: 8}}, {Server: "http://a.example", Learned: progress.Learned{Rate: 4}},
	}
	if !slices.Equal(s.LearnedByServer, learned) {
		t.Errorf("it learned %+v", s.LearnedByServer)
	}
}

// An outage does not show that a server takes less than the rate that was given.
func TestOutageAdvisesNoRate(t *testing.T) {
	r := &run{}
	r.Limits.Rate = 10
	s := &server{key: "http://127.0.0.1", pace: plateau{found: 5}, shaken: true}
	r.servers = map[string]*server{s.key: s}
	if notes := r.tooFast(); notes != nil {
		t.Errorf("it says %q", notes)
	}
	s.pressed.told = true
	if notes := r.tooFast(); len(notes) != 1 {
		t.Errorf("of a server that refused a pace it says %q", notes)
	}
}
