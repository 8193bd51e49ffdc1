package throttle

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// catchUp is how much lateness of timers is made up for: it keeps any second within half a percent
// of the rate, and the lead over a server that tolerates 10 ms of jitter below what it tolerates.
const catchUp = 5 * time.Millisecond

// never is an instant that does not come.
const never time.Duration = math.MaxInt64

// A supply is what a [rate.Limiter] calculates for a queue of which only the first has a
// reservation, so that it can be taken back and made anew. Instants are counted from base, are
// named by the caller and never go back. The caller's lock protects it.
type supply struct {
	base    time.Time // on the monotonic clock
	limit   rate.Limit
	burst   int
	catchUp time.Duration // but in tests, the constant

	lim   *rate.Limiter // never has rate.Inf
	size  int           // its burst: ours, or more for a heavy first waiter
	floor time.Duration // the latest instant named
	late  time.Duration // of the last waiter's timer, at most catchUp

	reserved    int // if zero, nothing is
	reservation rate.Reservation
	due         time.Duration

	granted, unclaimed int64
}

func newSupply(r rate.Limit, burst int) supply {
	s := supply{base: time.Now(), limit: validRate(r), burst: max(burst, 1), catchUp: catchUp}
	s.size = s.burst
	s.lim = rate.NewLimiter(0, s.size)
	if s.limit != rate.Inf {
		s.lim.SetLimitAt(s.base, s.limit)
	}
	return s
}

// now is the present instant. To read only the monotonic clock costs about half of time.Now. It
// needs no lock.
func (s *supply) now() time.Duration { return time.Since(s.base) }

func (s *supply) at(t time.Duration) time.Time { return s.base.Add(t) }

// setRate requires that r is valid.
func (s *supply) setRate(r rate.Limit) {
	now := s.now()
	s.unreserve(now)
	if s.limit == rate.Inf { // whatever went out until now, the next token is 1/r away
		s.size = s.burst
		s.lim = rate.NewLimiter(r, s.size)
		s.lim.ReserveN(s.at(now), s.size)
	} else if r != rate.Inf {
		s.lim.SetLimitAt(s.at(now), r)
	}
	s.floor, s.limit = now, r
}

// setBurst keeps what the first waiter, which wants so many, has waited for.
func (s *supply) setBurst(burst, wanted int) {
	now := s.now()
	s.unreserve(now)
	s.burst = burst
	s.fit(now, wanted)
}

// take takes n tokens for a caller that found no other waiting, if they are due, and returns when.
// If they are not, it leaves a reservation. The instant now may be a little old.
func (s *supply) take(now time.Duration, n int) (given time.Duration, ok bool) {
	switch s.limit {
	case rate.Inf:
		return now, true
	case 0:
		return 0, false
	}
	now = max(now, s.floor)
	s.reserve(s.from(now), n)
	if s.due > now {
		now = s.now() // they may have fallen due while this caller waited for the lock
		s.forgive(now, n)
		if s.due > now {
			s.late = 0
			return 0, false
		}
	}
	s.use()
	s.late = min(s.late, now-s.floor)
	s.unclaimed++
	return now, true
}

// await takes n tokens for the first waiter if they are due. If not, it reserves them and returns
// how long that takes, or [never].
func (s *supply) await(now time.Duration, n int) (wait time.Duration) {
	switch s.limit {
	case rate.Inf:
		return 0
	case 0:
		return never
	}
	if s.reserved != n { // those of another, or none
		s.unreserve(now)
		// At the last token's due instant, not at the present one: that makes up for the time
		// since.
		s.reserve(s.floor, n)
	}
	s.forgive(now, n)
	if s.due > now {
		return s.due - now
	}
	s.use()
	s.late = now - s.floor
	return 0
}

// from returns the instant at which to reserve for a caller that found no other waiting: now,
// unless the last waiter's timer was late and the caller comes right after, as workers do that were
// all served at once. Then the lateness is made up for as if they had been waiting.
func (s *supply) from(now time.Duration) time.Duration {
	if s.late > 0 && now-s.floor > s.late+s.catchUp {
		s.late = 0 // this caller is late itself
	}
	return max(s.floor, now-s.late)
}

// fit makes the limiter hold the burst, or n tokens where that is more: it refuses more than it can
// hold. Nothing may be reserved.
func (s *supply) fit(t time.Duration, n int) {
	s.floor = t
	if size := max(n, s.burst); size != s.size {
		s.size = size
		s.lim.SetBurstAt(s.at(t), size)
	}
}

// reserve notes when n tokens are due to a caller that asks at instant t. Nothing may be reserved.
func (s *supply) reserve(t time.Duration, n int) {
	s.fit(t, n)
	at := s.at(t)
	s.reservation = *s.lim.ReserveN(at, n)
	s.reserved = n
	s.due = t + s.reservation.DelayFrom(at)
	if s.due < t { // centuries away
		s.due = never
	}
}

// unreserve gives the first waiter's reservation back, with all that it has waited for until now.
func (s *supply) unreserve(now time.Duration) {
	if s.reserved == 0 {
		return
	}
	t := min(now, s.due) // past its due instant the limiter takes it as used
	s.reservation.CancelAt(s.at(t))
	s.reserved = 0
	s.floor = t
}

// use ends the reservation, whose tokens were taken.
func (s *supply) use() {
	s.reserved = 0
	s.fit(s.due, 0)
}

// forgive brings a reservation of n that is too late to be made up for in full forward to what can
// be.
func (s *supply) forgive(now time.Duration, n int) {
	if oldest := now - s.catchUp; s.due < oldest {
		s.unreserve(now)
		s.reserve(oldest, n)
	}
}

// forget lets go of all tokens but one that were gathered until the given instant.
func (s *supply) forget(end time.Duration) {
	s.floor = max(s.floor, end)
	at := s.at(s.floor)
	s.lim.SetBurstAt(at, 1)
	s.lim.SetBurstAt(at, s.size)
}

// shrink lets go of what a heavy first waiter gathered beyond the burst.
func (s *supply) shrink() { s.fit(s.floor, 0) }

// skip has nothing made up for that fell due until now.
func (s *supply) skip(now time.Duration) { s.floor = max(s.floor, now) }

// full reports whether all tokens are there.
func (s *supply) full() bool {
	return s.limit == rate.Inf || s.lim.TokensAt(s.at(max(s.now(), s.floor))) >= float64(s.burst)
}

// validRate reads r as documented at [NewBucket].
func validRate(r rate.Limit) rate.Limit {
	if !(r > 0) {
		return 0
	}
	return min(r, rate.Inf)
}
