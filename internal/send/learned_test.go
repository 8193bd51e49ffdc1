package send

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/throttle"
)

// Only what a server showed by accepting requests is called learned.
func TestLearnedByEvidence(t *testing.T) {
	onFakeTime(t, 40, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, func(w *world) {
		w.GiveUpAfter = time.Minute
		if s := w.run(); s.Learned != (report.Learned{}) {
			t.Errorf("of a server that accepts nothing it learned %+v", s.Learned)
		}
	})
	onFakeTime(t, 0, nil, func(w *world) {
		r := newRun(w.Options)
		five := report.Snapshot{Learned: report.Learned{InFlight: 5}, Accepted: 100}
		r.learn(view{}, five, time.Time{})
		if r.learned != five.Learned {
			t.Errorf("after 100 it learned %+v", r.learned)
		}
		r.learn(view{UpstreamStats: throttle.UpstreamStats{Phase: throttle.PhaseDown}}, report.Snapshot{Accepted: 100}, time.Time{})
		one := report.Snapshot{Learned: report.Learned{InFlight: 1}, Accepted: 105}
		r.learn(view{}, one, time.Time{})
		if r.learned != (report.Learned{}) {
			t.Errorf("from an outage it learned %+v", r.learned)
		}
		one.Accepted = 110
		r.learn(view{}, one, time.Time{})
		if r.learned != one.Learned {
			t.Errorf("ten after the outage it learned %+v", r.learned)
		}
		_ = r.pool.Drain(w.Context())
	})
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
	} {
		r := &run{}
		r.Limits.Rate, r.Limits.Fixed, r.pace.found = rate.Limit(c.given), c.fixed, c.taken
		if got := r.tooFast(); got != c.want {
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
