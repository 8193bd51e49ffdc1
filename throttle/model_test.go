package throttle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

const (
	unlimited = -1 // a rate of the model
	token     = int64(time.Second)
)

// bucketModel is a bucket that counts in whole numbers: at r tokens a second, a
// nanosecond brings r of the parts of which a token has 1e9.
type bucketModel struct {
	now   time.Duration
	rate  int64
	burst int64
	level int64
	until time.Duration // paused
	queue []*modelWait
}

type modelWait struct {
	n        int64
	deadline time.Duration // 0: none
	at       time.Duration // when it ended
	ended    bool
	granted  bool
}

// fill lets time pass in which nobody's tokens fall due.
func (m *bucketModel) fill(to time.Duration) {
	most := m.burst
	if len(m.queue) > 0 {
		most = max(most, m.queue[0].n)
	}
	m.level = min(m.level+max(m.rate, 0)*int64(to-m.now), most*token)
	m.now = to
}

func (m *bucketModel) end(i int, granted bool) {
	w := m.queue[i]
	w.at, w.ended, w.granted = m.now, true, granted
	m.queue = slices.Delete(m.queue, i, i+1)
	if i == 0 && !granted {
		m.level = min(m.level, m.burst*token)
	}
}

// run lets time pass.
func (m *bucketModel) run(to time.Duration) {
	for {
		// The next thing to happen is a pause's end, a deadline, or a grant.
		next, act := to, func() {}
		if m.until > m.now && m.until < next {
			next, act = m.until, func() { m.level = min(m.level, token) }
		}
		for i, w := range m.queue {
			if w.deadline > 0 && w.deadline < next {
				next, act = w.deadline, func() { m.end(i, false) }
			}
		}
		if len(m.queue) > 0 && m.until <= m.now && m.rate != 0 {
			at, n := m.now, m.queue[0].n
			if short := n*token - m.level; short > 0 && m.rate != unlimited {
				at += time.Duration((short + m.rate - 1) / m.rate)
			}
			if at <= next {
				if m.rate != unlimited {
					m.level += m.rate*int64(at-m.now) - n*token
				}
				m.now = at
				m.end(0, true)
				continue
			}
		}
		m.fill(next)
		act()
		if next == to {
			return
		}
	}
}

func (m *bucketModel) allow(n int64) bool {
	if len(m.queue) > 0 || m.until > m.now || m.rate == 0 {
		return false
	}
	if m.rate == unlimited {
		return true
	}
	if n > m.burst || m.level < n*token {
		return false
	}
	m.level -= n * token
	return true
}

func (m *bucketModel) setRate(r int64) {
	if m.rate == unlimited && r != unlimited {
		m.level = 0
	}
	m.rate = r
}

func (m *bucketModel) resume() {
	if m.until > m.now {
		m.until = m.now
		m.level = min(m.level, token)
	}
}

// TestBucketEqualsModel does at random all that can be done to a bucket, at
// random nanoseconds, and compares every grant with the model's.
func TestBucketEqualsModel(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) { compareBucket(t, seed) })
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
}

func compareBucket(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	begin := time.Now()
	m := &bucketModel{rate: 1 + rnd.Int64N(50), burst: 1 + rnd.Int64N(4)}
	m.level = m.burst * token
	b := NewBucket(rate.Limit(m.rate), int(m.burst))

	type real struct {
		model   *modelWait
		cancel  context.CancelFunc
		at      time.Duration
		ended   bool
		granted bool
	}
	var (
		mu    sync.Mutex
		group sync.WaitGroup
		waits []*real
		log   []string
	)
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(log, "\n"))
		}
	}()
	note := func(format string, args ...any) {
		log = append(log, fmt.Sprintf("%v ", m.now)+fmt.Sprintf(format, args...))
	}
	pass := func(d time.Duration) {
		time.Sleep(d)
		synctest.Wait()
		m.run(m.now + d)
	}
	for range 150 {
		pass(time.Duration(rnd.ExpFloat64() * 40e6))
		switch op := rnd.IntN(20); op {
		case 0, 1, 2, 3, 4, 5, 6, 7:
			w := &real{model: &modelWait{n: 1}}
			if rnd.IntN(3) == 0 {
				w.model.n = 1 + rnd.Int64N(8)
			}
			var ctx context.Context
			ctx, w.cancel = context.WithCancel(t.Context())
			if rnd.IntN(4) == 0 {
				d := time.Duration(rnd.Int64N(300e6) + 1)
				w.model.deadline = m.now + d
				ctx, w.cancel = context.WithTimeout(ctx, d)
			}
			note("wait %d, deadline %v", w.model.n, w.model.deadline)
			waits = append(waits, w)
			m.queue = append(m.queue, w.model)
			m.run(m.now)
			group.Go(func() {
				err := b.WaitN(ctx, int(w.model.n))
				mu.Lock()
				defer mu.Unlock()
				w.at, w.ended, w.granted = time.Since(begin), true, err == nil
			})
		case 8, 9, 10:
			if len(m.queue) > 0 {
				i := rnd.IntN(len(m.queue))
				note("cancel %d", i)
				waits[slices.IndexFunc(waits, func(w *real) bool { return w.model == m.queue[i] })].cancel()
				m.end(i, false)
			}
		case 11, 12, 13:
			n := rnd.Int64N(4) + 1
			note("allow %d", n)
			if got, want := b.AllowN(int(n)), m.allow(n); got != want {
				t.Errorf("%v: AllowN(%d) = %v, want %v", m.now, n, got, want)
			}
		case 14, 15:
			r := []int64{0, 1, 10, 50, 1000, unlimited}[rnd.IntN(6)]
			note("rate %d", r)
			if r == unlimited {
				b.SetRate(rate.Inf)
			} else {
				b.SetRate(rate.Limit(r))
			}
			m.setRate(r)
		case 16:
			m.burst = 1 + rnd.Int64N(6)
			note("burst %d", m.burst)
			b.SetBurst(int(m.burst))
			m.fill(m.now)
		case 17, 18:
			until := m.now + time.Duration(rnd.Int64N(200e6))
			note("pause %v", until)
			b.Pause(begin.Add(until))
			m.until = max(m.until, until)
		case 19:
			note("resume")
			b.Resume()
			m.resume()
		}
		synctest.Wait()
		m.run(m.now)
		if got, want := b.Stats().Waiting, len(m.queue); got != want {
			t.Errorf("%v: %d wait, want %d", m.now, got, want)
			break
		}
	}
	b.SetRate(1000)
	m.setRate(1000)
	for len(m.queue) > 0 {
		pass(time.Second)
	}
	synctest.Wait()
	for i, w := range waits {
		w.cancel() // frees its timer
		mu.Lock()
		if !w.ended || w.granted != w.model.granted || (w.at-w.model.at).Abs() > 5 {
			t.Errorf("wait %d: ended %v, granted %v at %d, want %+v", i, w.ended, w.granted, w.at, *w.model)
		}
		mu.Unlock()
	}
	group.Wait()
}
