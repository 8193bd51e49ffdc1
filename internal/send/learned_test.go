package send

import (
	"net/http"
	"slices"
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
		r.learn(view{}, five)
		if r.learned != five.Learned {
			t.Errorf("after 100 it learned %+v", r.learned)
		}
		r.learn(view{UpstreamStats: throttle.UpstreamStats{Phase: throttle.PhaseDown}}, report.Snapshot{Accepted: 100})
		one := report.Snapshot{Learned: report.Learned{InFlight: 1}, Accepted: 105}
		r.learn(view{}, one)
		if r.learned != (report.Learned{}) {
			t.Errorf("from an outage it learned %+v", r.learned)
		}
		one.Accepted = 110
		r.learn(view{}, one)
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
		accepted     int64
		fixed        bool
		want         string
	}{
		{4, 3, 100, false, "the server takes 3/s, not 4/s: give --rps 3"},
		{4, 3.96, 100, false, ""}, // it counts strictly
		{4, 4, 100, false, ""},
		{4, 3, 9, false, ""},
		{4, 3, 100, true, ""},
		{0, 3, 100, false, ""},
		{4, 0, 100, false, ""},
		{1000, 12.345, 100, false, "the server takes 12.3/s, not 1,000/s: give --rps 12.3"},
	} {
		r := &run{}
		r.Limits.Rate, r.Limits.Fixed, r.last.Ceiling = rate.Limit(c.given), c.fixed, c.taken
		if got := r.tooFast(report.Summary{Requests: report.RequestCounts{Accepted: c.accepted}}); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	c := etaCase{preset: "quota", params: "rate=3&burst=3", sizes: files(200, 1), limits: throttle.Limits{Rate: 6}}
	_, s := c.run(t)
	if !slices.ContainsFunc(s.Notes, func(note string) bool {
		return strings.HasSuffix(note, "not 6/s: give --rps "+strings.TrimSuffix(report.Pace(float64(s.Rate.Limit)), " req/s"))
	}) {
		t.Errorf("the limit is %v at the end, and it says %q", s.Rate.Limit, s.Notes)
	}
}
