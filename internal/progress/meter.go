package progress

import (
	"cmp"
	"math"
	"time"

	"github.com/penstock/penstock/internal/human"
)

const (
	// slowAnswer is how long answers take at least from which on the time left is a number of them.
	slowAnswer = 2 * time.Second
	// steadiness is how slowly the time left follows a new estimate, in seconds.
	steadiness = 5.0
	// etaSoonest is how much of a run must have been seen before an ETA is worth showing.
	etaSoonest = 3 * time.Second
	// etaFarthest is where an ETA stops meaning anything: three years.
	etaFarthest = 1e8
	// holdETA is for how many seconds the last ETA is shown when there is no new estimate: an ETA
	// that flickers is useless.
	holdETA = 5.0
	// mature is how many seconds of history say more than a rate that was learned, at least: after
	// a long pause what was saved up may go in a burst.
	mature = 5.0
	// fewPauses is how many pauses a search for the rate takes. Where there are more, they are a
	// part of the pace.
	fewPauses = 3
	// farOff is how many times longer than the rate allows the rest may take by what was done,
	// where pauses come again and again. Beyond that the time left is not known.
	farOff = 3.0
	// trust is how fast a rate that was learned may grow, a second: most servers are tried for more
	// now and then.
	trust = 0.03
)

// Meter computes rates and the time left from successive snapshots of one run. The zero value is
// ready. It reads no clock, only Snapshot.Elapsed, and is not safe for concurrent use.
type Meter struct {
	last                   Snapshot
	requests, files, moved speedometer // over the last seconds
	history                history
	pauses                 pauses
	tail                   tail
	ceiling                ceiling
	tries, ends            average // requests and files, as far back as a prediction looks
	found                  lasting // the rate in force
	settled                bool    // it has outlived a pause
	learned                float64 // requests a second; a better one has to last to be believed
	left                   float64 // seconds, smoothed, without the pause in force
	known                  bool    // left means something
	lost                   float64 // seconds since it was estimated
}

// Measure fills in the rates, ByBytes and ETA.
func (m *Meter) Measure(s *Snapshot) {
	dt := (s.Elapsed - m.last.Elapsed).Seconds()
	if dt > 0 {
		d := s.done().minus(m.last.done())
		untried := s.Pause > 0 || s.isDown()
		m.requests.add(float64(s.Sent-m.last.Sent), dt, untried)
		m.files.add(d.files, dt, untried)
		// What is broken off and sent again was sent all the same.
		moved := max(0, float64(s.DeliveredBytes-m.last.DeliveredBytes))
		m.moved.add(moved, dt, untried)
		m.tail.observe(s, d.files, moved, dt)
		m.pauses.observe(s, dt)
		given := s.Ceiling
		if s.Learned.Rate > 0 {
			given = 0
		}
		if m.ceiling.observe(given, dt, untried) {
			m.history, m.tries, m.ends = history{open: piece{fresh: true}}, average{}, average{}
			p := m.pauses
			m.pauses = pauses{inside: p.inside, single: p.inside, length: p.length}
		}
		m.tries.add(float64(s.Sent-m.last.Sent)-float64(s.InFlight-m.last.InFlight), dt, memory)
		m.ends.add(d.files, dt, memory)
		if m.pauses.single || s.isDown() && moved == 0 {
			d.seconds = 0 // nothing was tried
		}
		parts := s.parts() - m.last.parts()
		m.history.add(work{max(0, d.files+parts), max(0, d.bytes), d.seconds}, s.Pause > 0)
		switch {
		case !m.pauses.over:
		case m.pauses.n == 1 && s.Learned.Rate > 0:
			// The burst before the first pause found out how many the server takes at once, and the
			// pause paid for it. Neither says how fast the rest goes.
			m.history = history{open: piece{fresh: true}}
		case m.pauses.recur:
			m.history.resumed()
		}
		rate := float64(s.Learned.Rate)
		m.found.observe(cmp.Or(rate, s.Ceiling), 0.02, dt)
		lasts := m.found.since >= outlived && !untried
		m.settled = m.settled || lasts && m.pauses.outlived()
		if m.learned == 0 || m.pauses.inside || lasts {
			m.learned = rate // what was tried since has to last
		}
		m.learned = min(rate, m.learned*math.Exp(dt*trust))
	}
	s.Rate, s.FilesPerSecond, s.BytesPerSecond = m.requests.speed, m.files.speed, m.moved.speed
	s.ByBytes = s.KnownTotal && ByBytes(s.Total, s.TotalBytes)
	m.estimate(s, dt)
	s.ETA = 0
	if m.known {
		s.ETA = human.Seconds(m.left) + max(0, s.Pause)
	}
	m.last = *s
}

func (m *Meter) estimate(s *Snapshot, dt float64) {
	rest := work{
		files: float64(s.Total - s.Ended()),
		bytes: max(0, float64(s.TotalBytes-s.Bytes-s.LostBytes)),
	}
	if !s.KnownTotal || rest.files <= 0 || s.Elapsed < etaSoonest || s.Limit == LimitDown ||
		s.Stopping || m.ceiling.moves {
		m.known = false
		return
	}
	pause := max(0, s.Pause.Seconds())
	again := pause
	if m.pauses.single {
		again = 0
	}
	whole := work{files: rest.files - s.parts(), bytes: rest.bytes}
	left, ok := m.history.predict(whole, again, s.Elapsed.Seconds())
	left += pause - again
	paced := m.paced(s, rest.files) + pause
	seen := m.history.sum + m.history.open.seconds + again
	few := m.pauses.n > 1 && m.pauses.n <= fewPauses
	switch {
	case m.learned > 0 &&
		(m.pauses.n == 1 && m.pauses.inside || seen < max(mature, m.pauses.length/4)):
		left, ok = paced, true
	case paced > 0 && !m.settled && (m.learned > 0 && few || m.ceiling.fell):
		left, ok = paced, true // the last refusal shows more than the search before it
	case s.Limit == LimitRate && (m.learned == 0 && !m.pauses.recur || m.pauses.outlived()):
		left, ok = paced, paced > 0 // a limit that holds says more than any measurement
	case m.learned > 0:
		// What a server takes is seen in what it takes.
	case ok:
		left = max(left, paced)
	}
	most := math.Inf(1)
	if pause == 0 && s.Limit == LimitRate && paced > 0 && m.pauses.since > 0 {
		// So much of the time are pauses at most, if none has come since the last one.
		most = paced * (1 + m.pauses.length/m.pauses.since)
	}
	if m.learned == 0 && paced > 0 && left > farOff*paced && m.pauses.recur {
		// The server refuses what is allowed: it will be less, and the pace is not that of now.
		m.known = false
		return
	}
	left = min(left, most)
	if speed := m.moved.speed; s.Limit == LimitBandwidth && speed > 0 {
		left = max(left, rest.bytes/speed)
	}
	done := s.done()
	// Answers took long because files were large.
	bySize := done.files > 0 && done.bytes >= largeMean*done.files
	if s.Latency >= slowAnswer && !bySize && pause == 0 && len(s.Underway) == 0 && s.Ceiling == 0 {
		n := float64(s.InFlight)
		switch {
		case s.Growing && rest.files > n: // it is not known how many there will be at once
			m.known = false
			return
		case n == 0:
			ok = false
		default:
			quiet := min(m.files.quiet, m.moved.quiet)
			left, ok = max(0, math.Ceil(rest.files/n)*s.Latency.Seconds()-quiet), true
		}
	}
	if least, longest, sure, known := m.tail.left(s, rest); known {
		if m.pauses.n == 0 && m.learned == 0 { // nothing but the files takes time
			left = max(paced, min(left, longest))
		}
		left, ok, most = max(left, least+pause), sure, max(most, longest)
	}
	left = max(0, left-pause)         // which is known, and not smoothed
	if !ok || !(left < etaFarthest) { // also NaN
		// What was known a moment ago still holds.
		m.lost += dt
		m.known = m.known && m.lost < holdETA
		m.left = max(0, m.left-dt)
		return
	}
	m.lost = 0
	if m.known && dt > 0 {
		expected := m.left
		switch {
		case pause == 0:
			expected = max(0, m.left-dt)
		case m.pauses.began && m.pauses.recur && m.pauses.n > 1:
			expected = max(0, m.left-pause) // it was a part of that
		}
		follow := 1 - math.Exp(-dt/min(steadiness, s.Elapsed.Seconds()/10))
		left = min(most, expected+(left-expected)*follow)
	}
	m.left, m.known = left, true
}

// paced is how long files take under the rate in force, if nothing else holds them; 0 where there
// is none.
func (m *Meter) paced(s *Snapshot, files float64) float64 {
	tried := float64(s.Ended() - s.Skipped)
	switch {
	case tried <= 0:
		return 0
	case m.learned > 0:
		return files / m.learned
	case s.Ceiling > 0:
		each := 1.0
		if ends := m.ends.value(); ends > 0 {
			each = max(1, m.tries.value()/ends)
		}
		return files * each / s.Ceiling
	}
	return 0
}
