package pool_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/pool"
)

// TestModel does random things to a pool on fake time, and after each of them compares all that can
// be seen of it with a model that has no goroutine, no lock and no cleverness.
func TestModel(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runModel(t, seed) })
		})
	}
}

// A job is a task of the model test: how long it takes, whether it obeys its context, how it ends.
type job struct {
	id    int
	takes time.Duration
	obeys bool
	end   string
}

func (j job) do(ctx context.Context) error {
	if j.obeys {
		if err := sleep(ctx, j.takes); err != nil {
			return err
		}
	} else {
		time.Sleep(j.takes)
	}
	switch j.end {
	case "error":
		return errBoom
	case "panic":
		panic(errBoom)
	case "goexit":
		runtime.Goexit()
	}
	return nil
}

// A model predicts. Its times are offsets from the start.
type model struct {
	now     time.Duration
	size    int
	workers int
	running map[int]time.Duration // by id: when it ends
	queue   []job
	waiting []job
	jobs    map[int]job

	draining, cut bool
	stats         pool.Stats     // the counters; the rest is computed
	submits       map[int]string // by id: what Submit returned
	failed        map[int]string // by id: what OnError got
	waits         []map[int]bool // by call of Wait: the tasks still waited for
}

// settle does what needs no time: until nothing more follows from the state.
func (m *model) settle() {
	for changed := true; changed; {
		changed = false
		idle := m.workers - len(m.running)
		if idle == 0 && len(m.queue) > 0 && m.workers < m.size {
			idle++
			m.workers++
		}
		switch {
		case idle > 0 && (m.workers > m.size || m.draining && len(m.queue) == 0):
			m.workers--
			changed = true
		case idle > 0 && len(m.queue) > 0:
			j := m.queue[0]
			m.queue = m.queue[1:]
			if m.cut {
				m.failed[j.id] = "not started"
				m.stats.NotStarted++
				m.ended(j.id)
			} else {
				m.running[j.id] = m.now + j.takes
			}
			changed = true
		case len(m.waiting) > 0 && len(m.queue) < min(m.size, 64):
			m.queue = append(m.queue, m.waiting[0])
			m.submits[m.waiting[0].id] = "accepted"
			m.waiting = m.waiting[1:]
			changed = true
		}
	}
}

func (m *model) ended(id int) {
	for _, w := range m.waits {
		delete(w, id)
	}
}

func (m *model) finish(id int, end string) {
	delete(m.running, id)
	m.stats.Done++
	if end != "well" {
		m.stats.Failed++
		m.failed[id] = end
	}
	if end == "panic" {
		m.stats.Panicked++
	}
	m.ended(id)
	m.settle()
}

// advance lets time pass, one end of a task after the other.
func (m *model) advance(d time.Duration) {
	for until := m.now + d; ; {
		next, at := -1, until
		for id, end := range m.running {
			if end < at || end == at && next < 0 {
				next, at = id, end
			}
		}
		m.now = at
		if next < 0 {
			return
		}
		m.finish(next, m.jobs[next].end)
	}
}

func (m *model) submit(j job) {
	m.jobs[j.id] = j
	if m.draining {
		m.submits[j.id] = "draining"
		return
	}
	m.waiting = append(m.waiting, j)
	m.settle()
}

func (m *model) giveUp(id int) {
	if i := slices.IndexFunc(m.waiting, func(j job) bool { return j.id == id }); i >= 0 {
		m.waiting = slices.Delete(m.waiting, i, i+1)
		m.submits[id] = "gave up"
	}
}

func (m *model) resize(n int) {
	m.size = max(n, 1)
	m.settle()
}

func (m *model) wait() {
	left := make(map[int]bool)
	for id := range m.running {
		left[id] = true
	}
	for _, j := range m.queue {
		left[j.id] = true
	}
	m.waits = append(m.waits, left)
}

func (m *model) drain() {
	m.draining = true
	for _, j := range m.waiting {
		m.submits[j.id] = "draining"
	}
	m.waiting = nil
	m.settle()
}

func (m *model) cancel() {
	m.cut = len(m.running)+len(m.queue) > 0
	for _, id := range slices.Sorted(maps.Keys(m.running)) {
		if m.jobs[id].obeys {
			m.finish(id, "cancelled")
		}
	}
	m.settle()
}

func (m *model) state() state {
	s := state{Stats: m.stats, Submits: m.submits, Failed: m.failed}
	s.Stats.Workers, s.Stats.Busy = m.workers, len(m.running)
	s.Stats.Queued, s.Stats.Waiting = len(m.queue), len(m.waiting)
	for _, left := range m.waits {
		s.Waited = append(s.Waited, len(left) == 0)
	}
	s.Drained = m.draining && m.workers == 0
	return s
}

// A state is all that can be seen, of the model and of the pool.
type state struct {
	Stats   pool.Stats
	Submits map[int]string
	Failed  map[int]string
	Waited  []bool // by call of Wait: whether it returned
	Drained bool   // whether Drain returned
}

func runModel(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	size := random.IntN(6)
	m := &model{
		size:    max(size, 1),
		running: make(map[int]time.Duration), jobs: make(map[int]job),
		submits: make(map[int]string), failed: make(map[int]string),
	}

	// The pool is seen through channels that the goroutines of the test send on, read when all of
	// them are blocked.
	type event func(*state)
	events := make(chan event, 1000)
	errStop := errors.New("stop")
	p := pool.New(size, func(ctx context.Context, j job) error { return j.do(ctx) })
	p.OnError = func(j job, err error) {
		end := err.Error()
		_, panicked := errors.AsType[*pool.PanicError](err)
		switch {
		case panicked:
			end = "panic"
		case errors.Is(err, pool.ErrNotStarted) && errors.Is(err, errStop):
			end = "not started"
		case err == errBoom:
			end = "error"
		case err == errStop:
			end = "cancelled"
		case strings.Contains(end, "Goexit"):
			end = "goexit"
		}
		events <- func(s *state) { s.Failed[j.id] += end }
	}
	real := state{Submits: make(map[int]string), Failed: make(map[int]string)}
	giveUps := make(map[int]context.CancelCauseFunc)
	errGiveUp := errors.New("gave up")
	var drainErr error
	drainCtx, cut := context.WithCancelCause(context.Background())

	var log []string
	check := func(format string, args ...any) {
		synctest.Wait()
		log = append(log, fmt.Sprintf("%v: "+format, append([]any{m.now}, args...)...))
		real.Stats = p.Stats()
		for len(events) > 0 {
			(<-events)(&real)
		}
		// ten times as fast as asking cmp each time
		if want := m.state(); !reflect.DeepEqual(want, real) {
			t.Fatalf("seed %d: model (-) and pool (+) differ:\n%s\nafter\n%s", seed,
				cmp.Diff(want, real), strings.Join(log, "\n"))
		}
	}
	check("New(%d)", size)

	ends := []string{"well", "well", "well", "error", "panic", "goexit"}
	drainAfter := random.IntN(150)
	for step := 0; !m.draining || m.workers > 0; step++ {
		switch op := random.IntN(20); {
		case step == drainAfter:
			m.drain()
			go func() {
				err := p.Drain(drainCtx)
				events <- func(s *state) { s.Drained, drainErr = true, err }
			}()
			check("Drain")
		case op < 9 && step < drainAfter+10:
			j := job{len(m.jobs), time.Duration(1+random.IntN(30)) * time.Second,
				random.IntN(2) == 0, ends[random.IntN(len(ends))]}
			ctx, giveUp := context.WithCancelCause(context.Background())
			giveUps[j.id] = giveUp
			go func() {
				result := "accepted"
				switch err := p.Submit(ctx, j); {
				case err == pool.ErrDraining:
					result = "draining"
				case errors.Is(err, errGiveUp):
					result = "gave up"
				case err != nil:
					result = err.Error()
				}
				events <- func(s *state) { s.Submits[j.id] += result }
			}()
			m.submit(j)
			check("Submit(%+v)", j)
		case op < 11 && len(m.jobs) > 0:
			id := random.IntN(len(m.jobs)) // most have been accepted: then it must mean nothing
			if len(m.waiting) > 0 {
				id = m.waiting[random.IntN(len(m.waiting))].id
			}
			giveUps[id](errGiveUp)
			m.giveUp(id)
			check("give up %d", id)
		case op < 13:
			n := random.IntN(8) - 1
			p.Resize(n)
			m.resize(n)
			check("Resize(%d)", n)
		case op < 14:
			i := len(m.waits)
			real.Waited = append(real.Waited, false)
			go func() {
				if err := p.Wait(context.Background()); err != nil {
					t.Error(err)
				}
				events <- func(s *state) { s.Waited[i] = true }
			}()
			m.wait()
			check("Wait")
		case op < 15 && m.draining && !m.cut:
			cut(errStop)
			m.cancel()
			check("end of Drain's context")
		default:
			d := time.Duration(random.IntN(10)) * time.Second
			time.Sleep(d)
			m.advance(d)
			check("%v pass", d)
		}
	}

	var accepted int64
	for _, result := range m.submits {
		if result == "accepted" {
			accepted++
		}
	}
	got, _ := errors.AsType[*pool.Error](drainErr)
	switch s := m.stats; {
	case s.Failed+s.NotStarted == 0:
		if drainErr != nil {
			t.Errorf("seed %d: Drain: %v, want nil", seed, drainErr)
		}
	case got == nil, got.Accepted != accepted, got.Failed != s.Failed,
		got.NotStarted != s.NotStarted,
		(got.First != nil) != (s.Failed > 0), (got.Cause == errStop) != m.cut:
		t.Errorf("seed %d: Drain: %#v, want %d accepted and %+v", seed, drainErr, accepted, s)
	}
	cut(nil)
}
