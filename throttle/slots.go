package throttle

import (
	"slices"
	"time"
)

const (
	// slotLife is how long after its instant a slot may be used. Timers and goroutines of a busy
	// machine are some milliseconds late; what is later would leave as a burst.
	slotLife = 20 * time.Millisecond

	// askEvery is how often a Leaser is asked, at most, unless callers use up all that it grants:
	// those that come one by one do not cost it a call each.
	askEvery = 50 * time.Millisecond

	// askAfter is when a Leaser is asked again that granted nothing and did not say when.
	askAfter = time.Second

	// atOnce is how soon a lease begins if no other process was in line.
	atOnce = 5 * time.Millisecond

	// fading is the time over which the use of slots is averaged.
	fading = 250 * time.Millisecond

	// mostSlots bounds what is asked for and what is taken of a lease: sums do not overflow.
	mostSlots = 1 << 29
)

// slots holds the unused slots of a [Leaser]'s leases, and decides when it is asked for how many
// more. It has no clock and no lock: instants are named by the caller, and do not go back.
//
// What is granted and not used is lost for all processes, and slots lie close together: a lease of
// a hundred from a rate of 1,000 a second is over after 100 ms. So no more are asked for than
// callers are going to use while the slots last, as far as that can be known.
type slots struct {
	lots []*lot // at most two: one in use, one for later

	hungry bool // the last lot was used up, and callers still waited
	most   int  // how many to ask for at most, since slots went void; if zero, any number

	used  int           // since the last call
	rate  float64       // slots used a second, fading
	every time.Duration // of the last lease
	lead  time.Duration // how long after the last call its slots began

	short bool // since the last call callers had to wait for the next
	spare bool // the last lease began at once

	asking bool          // a call is under way
	called time.Duration // when the last one began
	wanted int           // by it
	calm   time.Duration // when to ask again, at the earliest, unless hungry
	again  time.Duration // and in any case

	unclaimed int64 // see BucketStats.Unclaimed
}

// A lot is the rest of one lease.
type lot struct {
	next  time.Duration // the instant of the next slot
	every time.Duration
	left  int
	used  int
	whole bool // no fewer were granted than were wanted
	late  bool // slots went void while callers waited for something else …
	idle  bool // … or while none waited
}

// call records that the Leaser is asked for so many slots.
func (s *slots) call(now time.Duration, want int) {
	if passed := (now - s.called).Seconds(); passed > 0 {
		s.rate += (float64(s.used)/passed - s.rate) * min(passed/fading.Seconds(), 1)
		s.used = 0
	}
	s.asking, s.short = true, false
	s.called, s.wanted, s.calm = now, want, now+askEvery
}

// add ends a call by a lease of n slots, the first at an instant and the others every so much
// later. The Leaser is not to be asked before the instant again.
func (s *slots) add(now, first, every time.Duration, n int, again time.Duration) {
	if n <= 0 {
		s.fail(again)
		return
	}
	s.asking, s.again = false, again
	s.every, s.lead, s.spare = max(every, 0), max(first-s.called, 0), first-now < atOnce
	s.lots = append(s.lots, &lot{
		next: first, every: s.every, left: min(n, mostSlots), whole: n >= s.wanted,
	})
}

// fail ends a call without a lease. The next one is not at once, however hungry callers are.
func (s *slots) fail(again time.Duration) { s.asking, s.again = false, max(again, s.calm) }

// drop lets go of all slots, and learns nothing of them.
func (s *slots) drop() { s.lots, s.hungry, s.again = nil, false, 0 }

// pass lets go of the slots that are void by now. Waiting reports whether callers waited meanwhile.
func (s *slots) pass(now time.Duration, waiting bool) {
	for _, c := range s.lots {
		n := c.void(now)
		switch {
		case n == 0:
		case waiting:
			c.late = true
		default:
			c.idle = true
			s.unclaimed += int64(n)
		}
	}
	s.tidy(waiting)
}

// excuse is pass for a time in which no caller could go. Void slots then teach nothing.
func (s *slots) excuse(now time.Duration) {
	s.lots = slices.DeleteFunc(s.lots, func(c *lot) bool {
		c.void(now)
		return c.left == 0
	})
}

// take uses n slots that are due. Waiting reports whether callers wait for more.
func (s *slots) take(now time.Duration, n int, waiting bool) {
	for _, c := range s.lots {
		k := min(n, c.due(now))
		c.leave(k)
		c.used += k
		s.used += k
		n -= k
	}
	s.tidy(waiting)
}

// tidy removes the lots of which nothing is left, and learns from each.
func (s *slots) tidy(waiting bool) {
	s.lots = slices.DeleteFunc(s.lots, func(c *lot) bool {
		if c.left > 0 {
			return false
		}
		all := !c.late && !c.idle
		s.hungry = all && waiting
		switch {
		case c.late:
			s.most = max(c.used, 1)
		case c.idle:
			s.most = c.used + 1
		case s.most > 0: // try more
			s.most = min(s.most+s.most/2+1, mostSlots)
		}
		if all && !waiting && c.whole {
			s.unclaimed++
		}
		return true
	})
}

// ask returns how many slots to ask for now, while callers wait that want so many in all; and if
// none, how long until that may change by itself, or never. While one lot is in use the next is
// asked for, so that callers do not wait for the call.
func (s *slots) ask(now time.Duration, wanted int64) (want int, wait time.Duration) {
	if s.asking || len(s.lots) > 1 {
		return 0, never
	}
	// Those that wait, and that come until the new slots begin, but have no slot yet; and as many
	// as come while the new slots last.
	need := float64(wanted) + s.rate*s.lead.Seconds() - float64(s.left())
	need /= max(1-s.rate*s.every.Seconds(), 0.01)
	want = int(max(min(need, mostSlots), 0))
	earliest := s.again
	if !s.hungry || s.most > 0 {
		earliest = max(earliest, s.calm)
	}
	if s.most > 0 {
		want = min(want, s.most)
	}
	switch {
	case want <= 0:
		return 0, never
	case earliest > now:
		s.short = s.short || len(s.lots) == 0
		return 0, earliest - now
	case s.short && s.spare && s.every > 0:
		// Nobody else wants slots, so those that last until the next call may be wasted: one caller
		// that sends one request after the other would else send one for each call.
		want = max(want, int(min(askEvery/s.every, mostSlots)))
	}
	return want, 0
}

// due returns how many slots may be used. Those that are void must have been let go.
func (s *slots) due(now time.Duration) (n int) {
	for _, c := range s.lots {
		n += c.due(now)
	}
	return n
}

// first returns the instant of the first slot, or never.
func (s *slots) first() time.Duration {
	first := never
	for _, c := range s.lots {
		first = min(first, c.next)
	}
	return first
}

// left returns how many slots there are.
func (s *slots) left() (n int) {
	for _, c := range s.lots {
		n += c.left
	}
	return n
}

// due returns how many slots have their instant until now.
func (c *lot) due(now time.Duration) int {
	switch {
	case c.next > now:
		return 0
	case c.every == 0:
		return c.left
	}
	return int(min(int64(c.left), int64((now-c.next)/c.every)+1))
}

// void takes away the slots that are void by now, and returns how many.
func (c *lot) void(now time.Duration) int {
	n := c.due(now - slotLife - 1)
	c.leave(n)
	return n
}

// leave takes away n slots, which are due.
func (c *lot) leave(n int) {
	if n == 0 {
		return
	}
	c.left -= n
	c.next += time.Duration(n-1) * c.every
	c.next += min(c.every, never-max(c.next, 0))
}
