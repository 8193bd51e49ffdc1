package throughput

import (
	"testing"
	"time"
)

// Transfers at a steady rate are measured by the shortest span once they have settled, and then by
// ever longer ones. Where the halves of a span differ it does not count.
func TestFlow(t *testing.T) {
	const size = 1 << 40
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	begin := now
	var f Flow
	var acked int64
	// until the span is measured, for two transfers that report every 10 ms
	measured := func(rate func() int64) Sum {
		for {
			f.Report(1, acked, size, now)
			f.Report(2, acked, size, now)
			if f.IsMeasured(now) {
				return f.Sum(now)
			}
			now = now.Add(10 * time.Millisecond)
			acked += rate() / 100
		}
	}
	steady := func() int64 { return 1e6 }
	s := measured(steady)
	if took := now.Sub(begin); took != settleTime+MinSpan || s.Rate != 2e6 || s.Far != 2 {
		t.Errorf("after %v: %v a second, %d far from their end; want %v, 2e6, 2", took, s.Rate,
			s.Far, settleTime+MinSpan)
	}
	for want := 2 * MinSpan; want <= MaxSpan; want *= 2 {
		if !f.Next(s, now) {
			t.Fatalf("a steady span of %v does not count", s.Span)
		}
		if s = measured(steady); s.Span != want {
			t.Errorf("a span of %v, want %v", s.Span, want)
		}
	}
	f.Discard(now)
	from := now
	s = measured(func() int64 {
		if now.Sub(from) <= MinSpan/2 {
			return 4e6
		}
		return 1e6
	})
	if f.Next(s, now) {
		t.Errorf("a span counts whose halves have %v and %v a second", s.first, s.second)
	}
	if s = measured(steady); s.Span != MinSpan || !f.Next(s, now) {
		t.Errorf("after a burst, a span of %v does not count", s.Span)
	}
	if f.End(1, now); f.Len() != 1 || f.IsStale(now) || !f.IsStale(now.Add(MaxSpan+1)) {
		t.Errorf("%d transfers after one has ended", f.Len())
	}
}

// With care, only the longest spans count, also after one that was discarded.
func TestCarefulFlow(t *testing.T) {
	f := Flow{Careful: true}
	now := time.Unix(0, 0)
	var acked int64
	f.Report(1, acked, -1, now)
	f.Discard(now)
	var counted []time.Duration
	for len(counted) < 2 {
		now = now.Add(10 * time.Millisecond)
		acked += 1e4
		if f.Report(1, acked, -1, now); !f.IsMeasured(now) {
			continue
		}
		if s := f.Sum(now); f.Next(s, now) {
			counted = append(counted, s.Span)
		}
	}
	if counted[0] != MaxSpan || counted[1] != MaxSpan {
		t.Errorf("spans of %v count", counted)
	}
}

// A report is news where it is the first of a transfer, or more was acknowledged.
func TestReportIsNews(t *testing.T) {
	var f Flow
	now := time.Unix(0, 0)
	for i, report := range []struct {
		acked, size int64
		news        bool
	}{
		{0, 100, true}, {0, 100, false}, {50, 100, true}, {50, 100, false}, {20, 100, false},
		{100, 100, true}, {100, 100, true}, // it had ended
	} {
		if news := f.Report(1, report.acked, report.size, now); news != report.news {
			t.Errorf("report %d, of %d bytes: news %v", i, report.acked, news)
		}
	}
}
