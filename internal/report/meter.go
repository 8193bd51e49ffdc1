package report

import (
	"math"
	"time"
)

const (
	// rateMemory is how far "the last seconds" reach.
	rateMemory = 5.0
	// etaMemory is how far back the speed that an ETA rests on reaches, at
	// least. It grows with the run: an estimate for hours shall not follow
	// every minute.
	etaMemory = 30.0
	// etaSoonest is how much of a run must have been seen before an ETA is worth
	// showing.
	etaSoonest = 3 * time.Second
	// etaFarthest is where an ETA stops meaning anything: three years.
	etaFarthest = 1e8
)

// Meter computes rates and the time left from successive snapshots of one run.
// The zero value is ready. It reads no clock, only Snapshot.Elapsed, and is not
// safe for concurrent use: it belongs to whoever updates the progress.
type Meter struct {
	last            Snapshot
	requests, moved average // over the last seconds
	items, bytes    average // over a longer time, cool-downs left out
	left            float64 // seconds, smoothed, without the current pause
	known           bool    // left means something
}

// Measure fills in Rate, BytesPerSecond and ETA.
func (m *Meter) Measure(s *Snapshot) {
	dt := (s.Elapsed - m.last.Elapsed).Seconds()
	if dt > 0 {
		sent := float64(s.Sent - m.last.Sent)
		bytes := float64(s.DeliveredBytes - m.last.DeliveredBytes)
		m.requests.add(sent, dt, rateMemory)
		m.moved.add(bytes, dt, rateMemory)
		// While the server wants nothing, the speed at which we send is not
		// slower but unknown: the pause is added to the time left instead.
		if s.Pause <= 0 {
			memory := max(etaMemory, s.Elapsed.Seconds()/4)
			// Skipped items cost no time, so they say nothing about speed.
			items := float64(s.ended() - s.Skipped - m.last.ended() + m.last.Skipped)
			m.items.add(items, dt, memory)
			m.bytes.add(bytes, dt, memory)
		}
	}
	s.Rate = m.requests.value()
	s.BytesPerSecond = m.moved.value()
	m.estimate(s, dt)
	s.ETA = 0
	if m.known {
		s.ETA = seconds(m.left) + max(s.Pause, 0)
	}
	m.last = *s
}

func (m *Meter) estimate(s *Snapshot, dt float64) {
	remaining := s.Total - s.ended()
	tried := s.ended() - s.Skipped
	moved := s.TotalBytes > s.Bytes && m.bytes.value() > 0
	if !s.KnownTotal || remaining <= 0 || tried <= 0 && !moved || s.Elapsed < etaSoonest || s.Limit == LimitDown {
		m.known = false
		return
	}
	var left float64
	if tried > 0 {
		left = float64(remaining) / m.items.value()
	}
	if moved {
		// Few large items last, or many small ones: the slower measure counts.
		left = max(left, float64(s.TotalBytes-s.Bytes)/m.bytes.value())
	}
	if s.Ceiling > 0 && s.Learned.Rate == 0 && tried > 0 {
		each := max(1, float64(s.Sent-int64(s.InFlight))/float64(tried))
		paced := float64(remaining) * each / s.Ceiling
		if s.Limit == LimitRate {
			// A limit that holds tells more than any measurement.
			left = paced
		} else {
			left = max(left, paced)
		}
	}
	if !(left < etaFarthest) { // also NaN
		m.known = false
		return
	}
	if m.known && dt > 0 {
		expected := m.left
		if s.Pause <= 0 {
			expected = max(0, m.left-dt)
		}
		left = expected + (left-expected)*(1-math.Exp(-dt/rateMemory))
	}
	m.left, m.known = left, true
}

// average is an exponentially fading average of a rate. It has no bias at the
// beginning: of a run shorter than its memory it is the plain average.
type average struct{ n, t float64 }

func (a *average) add(n, dt, memory float64) {
	keep := math.Exp(-dt / memory)
	// What happened within dt fades as well, as if spread evenly over it.
	share := memory * (1 - keep) / dt
	a.n = a.n*keep + n*share
	a.t = a.t*keep + dt*share
}

// value is 0 before the first sample.
func (a *average) value() float64 {
	if a.t <= 0 {
		return 0
	}
	return max(0, a.n/a.t)
}
