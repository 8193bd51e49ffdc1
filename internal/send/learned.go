package send

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/throttle"
)

// evidence is how many requests have to be accepted for a number to be called learned.
const evidence = 10

// found returns what was found of a server's pace, without the numbers that an outage left.
func (r *run) found(s *server, stats throttle.UpstreamStats) progress.Learned {
	l := learned(stats)
	if l.InFlight > 0 {
		l.InFlight = progress.Optional(s.crowd.found)
	}
	l.Trying = l.Rate > 0 && stats.Reason != "quota" && math.Abs(float64(l.Rate)-s.pace.found) > plateauSlack*s.pace.found
	if r.isUntold(s, stats) {
		l.InFlight = 0
	}
	if r.isUnproven(s) && stats.Reason != "quota" {
		l.Rate, l.Trying = 0, false
	}
	return l
}

// isUnproven reports whether a server's pace comes from an outage: no refusal was about the number of requests.
func (r *run) isUnproven(s *server) bool { return s.shaken && !r.isPressed(s) }

// isUntold reports whether a server's limit in flight comes from an outage too: no higher one was tried since.
func (r *run) isUntold(s *server, stats throttle.UpstreamStats) bool {
	return r.isUnproven(s) && s.most <= stats.Limit
}

// learn records what a server shows of its pace, for the summary. What was found before an outage, or in it, was about a server
// in trouble: after it, evidence requests have to be accepted again.
func (r *run) learn(s *server, stats throttle.UpstreamStats, now time.Time) {
	ceiling := float64(stats.Rate)
	if stats.Rate == rate.Inf {
		ceiling = 0
	}
	s.pace.look(ceiling, stats, now)
	s.crowd.look(stats, now)
	r.mu.Lock()
	accepted := s.accepted
	r.mu.Unlock()
	if stats.Phase == throttle.PhaseDown {
		s.learned, s.sound = progress.Learned{}, accepted
	}
	if l := r.found(s, stats); l != (progress.Learned{}) && accepted-s.sound >= evidence {
		s.learned = l
	}
	if s.learned.InFlight > 0 {
		s.learned.InFlight = progress.Optional(s.crowd.found)
	}
	s.learned.Trying = false
	if s.learned.Rate > 0 {
		s.learned.Rate = progress.Optional(math.Round(s.pace.found*1000) / 1000)
	}
}

// byAccepted returns the servers, the one that accepted most first.
func (r *run) byAccepted() []*server {
	servers := r.all()
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(servers, func(a, b *server) int { return cmp.Compare(b.accepted, a.accepted) })
	return servers
}

// fillLearned fills in what was learned: of the only server, or of each of several.
func (r *run) fillLearned(s *report.Summary) {
	servers := r.byAccepted()
	if len(servers) == 1 {
		s.Learned = servers[0].learned
		return
	}
	for _, each := range servers {
		if each.learned != (progress.Learned{}) {
			s.LearnedByServer = append(s.LearnedByServer, report.ServerLearned{Server: each.key, Learned: each.learned})
		}
	}
}

// tooFast says which servers took much less than the rate that was given. Another rate, which would hold for all of them, is
// advised if there is only one.
func (r *run) tooFast() (notes []string) {
	given := float64(r.Limits.Rate)
	if r.Limits.Fixed || given == 0 {
		return nil
	}
	const most = 8 // lines of the summary
	servers, others := r.byAccepted(), 0
	for _, s := range servers {
		taken := s.pace.found
		if taken == 0 || taken > 0.9*given || r.isUnproven(s) {
			continue
		}
		pace := human.RateNumber(taken)
		switch {
		case len(servers) == 1:
			notes = append(notes, fmt.Sprintf("the server takes %s/s, not %s/s: give --rps %s", pace, human.RateNumber(given), strings.ReplaceAll(pace, ",", "")))
		case len(notes) < most:
			notes = append(notes, fmt.Sprintf("%s takes %s/s, not %s/s", s.key, pace, human.RateNumber(given)))
		default:
			others++
		}
	}
	if others > 0 {
		notes = append(notes, fmt.Sprintf("%s more take less than %s/s", human.Plural(others, "server"), human.RateNumber(given)))
	}
	return notes
}
