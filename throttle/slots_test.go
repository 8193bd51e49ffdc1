package throttle

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A slotsCase does to slots what happens at instants, and looks at how many are asked for.
type slotsCase struct{ slots }

// asks checks what is asked for at an instant while so many are wanted.
func (s *slotsCase) asks(t *testing.T, at time.Duration, wanted int64, want int, wait time.Duration) {
	t.Helper()
	n, w := s.ask(at, wanted)
	if n != want || w != wait {
		t.Errorf("at %v, %d wanted: asks for %d, or in %v; want %d, %v", at, wanted, n, w, want, wait)
	}
}

// lease is a call that takes no time.
func (s *slotsCase) lease(at, first, every time.Duration, n, wanted int) {
	s.call(at, wanted)
	s.add(at, first, every, n, 0)
}

// use takes n slots at the instants of each.
func (s *slotsCase) use(n int, waiting bool) {
	for range n {
		s.take(s.first(), 1, waiting)
	}
}

func TestSlotsAsk(t *testing.T) {
	for name, run := range map[string]func(*testing.T, *slotsCase){
		"as many as wait": func(t *testing.T, s *slotsCase) {
			s.asks(t, 0, 7, 7, 0)
			s.call(0, 7)
			s.asks(t, 1*ms, 9, 0, never) // a call is under way
			s.add(2*ms, 100*ms, 1*ms, 7, 0)
			s.asks(t, 3*ms, 7, 0, never)    // they have slots
			s.asks(t, 3*ms, 9, 0, 47*ms)    // two have none
			s.asks(t, 50*ms, 9, 2, 0)       // 50 ms after the last call
			s.asks(t, 50*ms, 0, 0, never)   // nobody waits
			s.lease(50*ms, 107*ms, 0, 2, 2) // two lots
			s.asks(t, 100*ms, 90, 0, never)
		},
		"no sooner than it says": func(t *testing.T, s *slotsCase) {
			s.call(0, 1)
			s.add(0, 0, 0, 1, 80*ms)
			s.use(1, true)
			s.asks(t, 1*ms, 1, 0, 79*ms)
			s.asks(t, 80*ms, 1, 1, 0)
			s.call(80*ms, 1)
			s.add(80*ms, 0, 0, 0, 90*ms) // nothing is granted
			s.asks(t, 81*ms, 1, 0, 49*ms)
		},
		"at once while all is used up": func(t *testing.T, s *slotsCase) {
			s.lease(0, 0, 1*ms, 3, 3)
			s.use(3, true)
			s.asks(t, 2*ms, 5, 5, 0)
			s.call(2*ms, 5)
			s.fail(0)
			s.asks(t, 3*ms, 5, 0, 49*ms) // not after a failure
		},
		"not at once when nobody waits": func(t *testing.T, s *slotsCase) {
			s.lease(0, 0, 1*ms, 3, 3)
			s.use(2, true)
			s.use(1, false)
			s.asks(t, 2*ms, 5, 0, 48*ms)
		},
		"for those to come": func(t *testing.T, s *slotsCase) {
			for at := time.Duration(0); at < 2*time.Second; at += 50 * ms { // of 200 a second, half
				s.lease(at, at, 5*ms, 5, 5)
				s.use(5, true)
			}
			s.call(2*time.Second, 1)
			s.asks(t, 2*time.Second, 1, 0, never)
			// 100 a second: 10 come until the slots begin, and half as many as there are slots
			s.add(2*time.Second, 2100*ms, 5*ms, 1, 0)
			s.asks(t, 2050*ms, 3, 23, 0)
		},
		"as many as were used": func(t *testing.T, s *slotsCase) {
			s.lease(0, 0, 1*ms, 30, 30)
			s.use(4, true)
			s.pass(60*ms, true) // the others are void
			s.asks(t, 60*ms, 30, 4, 0)
			s.lease(60*ms, 66*ms, 1*ms, 4, 4)
			s.use(4, true)
			s.asks(t, 70*ms, 30, 0, 40*ms)
			s.asks(t, 110*ms, 30, 7, 0) // all were used: some more
			s.lease(110*ms, 110*ms, 1*ms, 7, 7)
			s.use(5, true)
			s.use(1, false)
			s.pass(200*ms, false)
			s.asks(t, 200*ms, 30, 7, 0)
			s.lease(200*ms, 200*ms, 1*ms, 7, 7)
			s.pass(300*ms, true)
			s.asks(t, 300*ms, 30, 1, 0)
		},
		"nothing is learned in a pause": func(t *testing.T, s *slotsCase) {
			s.lease(0, 0, 1*ms, 30, 30)
			s.use(4, true)
			s.excuse(60 * ms)
			s.asks(t, 60*ms, 30, 30, 0)
		},
		"what is left over, for one caller": func(t *testing.T, s *slotsCase) {
			s.lease(0, 4*ms, 1*ms, 1, 1)
			s.use(1, false)
			s.asks(t, 10*ms, 1, 0, 40*ms)
			s.asks(t, 50*ms, 1, 50, 0)
			s.lease(50*ms, 55*ms, 1*ms, 1, 50) // others were in line
			s.use(1, false)
			s.asks(t, 60*ms, 1, 0, 40*ms)
			s.asks(t, 100*ms, 1, 1, 0)
			s.lease(100*ms, 100*ms, 1*ms, 1, 1)
			s.use(1, false)
			s.asks(t, 150*ms, 1, 1, 0) // nobody waited for this call
		},
		"numbers without end": func(t *testing.T, s *slotsCase) {
			s.asks(t, 0, math.MaxInt64, mostSlots, 0)
			s.lease(0, math.MinInt64/2, math.MaxInt64, math.MaxInt, mostSlots)
			want(t, "left", s.left(), mostSlots)
			s.pass(30*ms, true)
			want(t, "next", s.first(), never-(1<<62)) // one was void
			s.asks(t, 60*ms, math.MaxInt64, mostSlots, 0)
			s.drop()
			s.lease(60*ms, never, 1, 1, 1)
			s.asks(t, 120*ms, 5, 4, 0)
			s.drop()
			s.lease(180*ms, 180*ms, 0, 1e9, mostSlots)
			s.take(180*ms, mostSlots-1, true)
			want(t, "left", s.left(), 1)
			s.take(180*ms, 1, true)
			want(t, "hungry", s.hungry, true)
		},
	} {
		t.Run(name, func(t *testing.T) { run(t, new(slotsCase)) })
	}
}

// Slots that nobody used are counted, so that somebody starts more callers.
func TestSlotsUnclaimed(t *testing.T) {
	var s slotsCase
	s.lease(0, 0, 1*ms, 3, 3)
	s.use(3, true)
	want(t, "used up", s.unclaimed, 0)
	s.lease(0, 10*ms, 1*ms, 3, 3)
	s.use(2, true)
	s.use(1, false)
	want(t, "all that was wanted, and nobody waits", s.unclaimed, 1)
	s.lease(0, 20*ms, 1*ms, 3, 4)
	s.use(3, false)
	want(t, "less than was wanted", s.unclaimed, 1)
	s.lease(0, 30*ms, 1*ms, 3, 3)
	s.pass(52*ms, true)
	want(t, "callers waited for something else", s.unclaimed, 1)
	s.pass(53*ms, false)
	want(t, "void", s.unclaimed, 2)
}

// What slots count is what a list of instants has. No slot is used twice, before its instant, or 20
// ms after it; and no more is asked for than is documented.
func TestSlotsEqualModel(t *testing.T) {
	for seed := range uint64(300) {
		compareSlots(t, seed)
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
}

func compareSlots(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	var (
		s     slots
		model []time.Duration
		now   time.Duration
		asked time.Duration = -time.Second
		log   []string
	)
	defer func() {
		if t.Failed() {
			t.Log(log)
		}
	}()
	note := func(format string, args ...any) { log = append(log, fmt.Sprintf(format+"\n", args...)) }
	fresh := func() {
		model = slices.DeleteFunc(model, func(at time.Duration) bool { return at < now-slotLife })
	}
	last := time.Duration(0) // of the model
	for range 200 {
		now += time.Duration(rnd.ExpFloat64() * float64(8*ms))
		waiting := rnd.IntN(3) > 0
		note("%v waiting %v", now, waiting)
		if rnd.IntN(8) == 0 {
			s.excuse(now)
		} else {
			s.pass(now, waiting)
		}
		fresh()
		due := 0
		for _, at := range model {
			if at <= now {
				due++
			}
		}
		first := never
		if len(model) > 0 {
			first = slices.Min(model)
		}
		if s.due(now) != due || s.left() != len(model) || s.first() != first {
			t.Errorf("%v: due %d, left %d, first %v; want %d, %d, %v", now, s.due(now), s.left(),
				s.first(), due, len(model), first)
			return
		}
		if due > 0 && rnd.IntN(2) == 0 {
			k := 1 + rnd.IntN(due)
			note("take %d", k)
			s.take(now, k, waiting)
			// the lots are used in the order in which they were granted
			for range k {
				i := slices.IndexFunc(model, func(at time.Duration) bool { return at <= now })
				model = slices.Delete(model, i, i+1)
			}
			continue
		}
		if s.asking {
			if rnd.IntN(4) == 0 {
				s.fail(now + time.Duration(rnd.Int64N(int64(100*ms))))
				continue
			}
			n := rnd.IntN(s.wanted + 1)
			first := max(last, now) + time.Duration(rnd.Int64N(int64(30*ms)))
			every := time.Duration(rnd.Int64N(int64(5 * ms)))
			note("add %v %v %d of %d", first, every, n, s.wanted)
			s.add(now, first, every, n, 0)
			for i := range n {
				last = first + time.Duration(i)*every
				model = append(model, last)
			}
			continue
		}
		wanted := rnd.Int64N(20)
		n, wait := s.ask(now, wanted)
		note("ask %d: %d %v", wanted, n, wait)
		switch {
		case n > 0:
			if len(s.lots) > 1 || now < asked+askEvery && (!s.hungry || s.most > 0) || now < s.again {
				t.Errorf("%v: asked for %d", now, n)
			}
			if waits := int(wanted) - len(model); n > max(waits, 1) && s.rate == 0 && !s.short {
				t.Errorf("%v: asked for %d, %d wait", now, n, waits)
			}
			asked = now
			s.call(now, n)
		case wait != never:
			if again, _ := s.ask(now+wait-1, wanted); again > 0 {
				t.Errorf("%v: asks sooner than in %v", now, wait)
			}
			if again, _ := s.ask(now+wait, wanted); again == 0 {
				t.Errorf("%v: does not ask in %v", now, wait)
			}
		}
	}
}
