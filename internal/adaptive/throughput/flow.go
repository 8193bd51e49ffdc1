// Package throughput measures how many bytes a second the bodies on their way have together.
//
// A [Flow] is a state machine without a clock or a lock: its owner reports what happened, and when.
package throughput

import (
	"slices"
	"time"
)

const (
	// settleTime is left out after a transfer began or ended: a new connection first fills buffers,
	// and the other ones need a few round trips to gain or lose by it.
	settleTime = 100 * time.Millisecond

	// farOff is what transfers must have left for the sum of them to decide. The end of those that
	// end before shows more.
	farOff = time.Second
)

// A span is measured in two halves, and counts once these are alike: their rates differ by a
// smaller factor than Alike. One of MaxSpan always counts.
const (
	MinSpan = 100 * time.Millisecond
	MaxSpan = 800 * time.Millisecond
	Alike   = 1.25
)

// A Flow is the transfers under way. It is ready to use when zero, and not safe for concurrent use.
type Flow struct {
	Careful bool // only the longest spans count

	transfers []*transfer // in the order in which they began
	from      time.Time   // when the span begins
	span      time.Duration
	moves     int       // of the span
	latest    time.Time // report

	meter meter
}

// A transfer is a body on its way.
type transfer struct {
	number int64 // of its request
	size   int64 // below 0: not known
	began  time.Time

	last          report // the latest
	start, middle report // of the span
}

// Len returns how many transfers are under way.
func (f *Flow) Len() int { return len(f.transfers) }

// IsStale reports whether nothing was reported for as long as the longest span.
func (f *Flow) IsStale(now time.Time) bool { return now.Sub(f.latest) > MaxSpan }

func (f *Flow) find(number int64) int {
	return slices.IndexFunc(f.transfers, func(t *transfer) bool { return t.number == number })
}

// Report records how much of a request's body the server has acknowledged, and reports whether that
// is news. The size is negative if it is not known.
func (f *Flow) Report(number, acked, size int64, now time.Time) (news bool) {
	f.latest = now
	i := f.find(number)
	news = i < 0 || acked > f.transfers[i].last.acked
	switch {
	case size >= 0 && acked >= size: // the rest is up to the server
		if i >= 0 {
			f.meter.add(size-f.transfers[i].last.acked, now)
		}
		f.End(number, now)
		return news
	case i < 0:
		if len(f.transfers) == 0 {
			f.meter.reset(now)
		}
		f.transfers = append(f.transfers,
			&transfer{number: number, size: size, began: now, last: report{now, acked}})
		f.Restart(now)
		return news
	}
	t := f.transfers[i]
	before := t.last
	t.last = report{now, acked}
	if acked < before.acked { // it is sent once more
		f.Restart(now)
		return news
	}
	f.meter.add(acked-before.acked, now)
	switch {
	case now.Before(f.from):
	case t.start.at.IsZero():
		t.start = t.last
	case t.middle.at.IsZero() && !now.Before(f.from.Add(f.span/2)):
		t.middle = t.last
	}
	return news
}

// End forgets a transfer.
func (f *Flow) End(number int64, now time.Time) {
	if i := f.find(number); i >= 0 {
		f.transfers = slices.Delete(f.transfers, i, i+1)
		f.Restart(now)
	}
}

// Restart begins a span when the transfers have settled.
func (f *Flow) Restart(now time.Time) {
	span := MinSpan
	if f.Careful {
		span = MaxSpan
	}
	f.measure(now.Add(settleTime), span)
}

// measure begins a span.
func (f *Flow) measure(from time.Time, span time.Duration) {
	f.from, f.span, f.moves = from, span, 0
	for _, t := range f.transfers {
		t.start, t.middle = report{}, report{}
		if !t.last.at.Before(from) {
			t.start = t.last
		}
	}
}

// remeasure goes on where the halves of a span do not agree. In case that a burst ends, it moves
// the span by half of it; after three times, in case that they never agree, it doubles the span.
func (f *Flow) remeasure(now time.Time) {
	if f.moves == 3 {
		f.measure(now, 2*f.span)
		return
	}
	f.moves++
	f.from = f.from.Add(f.span / 2)
	for _, t := range f.transfers {
		t.start, t.middle = t.middle, t.last
	}
}

// IsMeasured reports whether the span is over for all transfers.
func (f *Flow) IsMeasured(now time.Time) bool {
	end := f.from.Add(f.span)
	return len(f.transfers) > 0 && !now.Before(end) &&
		!slices.ContainsFunc(f.transfers, func(t *transfer) bool {
			return t.last.at.Before(end) || t.middle.at.IsZero() || !t.last.at.After(t.middle.at)
		})
}

// A Sum is what all transfers had together in a span.
type Sum struct {
	Span time.Duration
	Rate float64 // bytes a second
	Far  int     // transfers that are far from their end

	first, second float64 // the rates of its halves
}

// Sum returns that of the span, which is measured.
func (f *Flow) Sum(now time.Time) Sum {
	s := Sum{Span: f.span}
	for _, t := range f.transfers {
		rate := t.last.since(t.start)
		s.Rate += rate
		s.first += t.middle.since(t.start)
		s.second += t.last.since(t.middle)
		left := float64(t.size-t.last.acked) / rate
		if t.size < 0 { // half of it is done, for all that is known
			left = now.Sub(t.began).Seconds()
		}
		if left >= farOff.Seconds() {
			s.Far++
		}
	}
	return s
}

// Discard begins the shortest span, whatever the one before has shown.
func (f *Flow) Discard(now time.Time) { f.measure(now, MinSpan) }

// Next begins the span after that of a sum, and reports whether the sum counts.
func (f *Flow) Next(s Sum, now time.Time) (counts bool) {
	if (s.second > Alike*s.first || s.first > Alike*s.second) && s.Span < MaxSpan {
		f.remeasure(now)
		return false
	}
	f.measure(now, min(2*s.Span, MaxSpan))
	return !f.Careful || s.Span >= MaxSpan
}

// BytesPerSecond returns how many the transfers under way have had in the last second or two.
func (f *Flow) BytesPerSecond() float64 {
	if len(f.transfers) == 0 {
		return 0
	}
	return f.meter.rate()
}
