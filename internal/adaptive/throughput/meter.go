package throughput

import "time"

// A report says how much of a body was acknowledged at an instant.
type report struct {
	at    time.Time
	acked int64
}

// since returns the bytes a second since an earlier report.
func (r report) since(earlier report) float64 {
	return float64(r.acked-earlier.acked) / r.at.Sub(earlier.at).Seconds()
}

// A meter measures the bytes a second of the last second or two.
type meter struct {
	old, late, last report // of the sum: at least a second apart, and the latest
}

func (m *meter) reset(now time.Time) {
	m.last.at = now
	m.old, m.late = m.last, m.last
}

func (m *meter) add(bytes int64, now time.Time) {
	// Only once time has passed are all in that belong to the instant before.
	if now.After(m.last.at) && m.last.at.Sub(m.late.at) >= time.Second {
		m.old, m.late = m.late, m.last
	}
	m.last = report{now, m.last.acked + bytes}
}

func (m *meter) rate() float64 {
	if !m.last.at.After(m.old.at) {
		return 0
	}
	return m.last.since(m.old)
}
