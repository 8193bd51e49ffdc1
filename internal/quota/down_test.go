package quota

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// kill ends the server, and what it knows with it.
func (e *engine) kill() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dead = true
	e.m.Close()
	e.m.FlushAll()
}

func (e *engine) restart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dead = false
}

// A log of the kinds of notices, with when they came.
type noticeLog struct {
	mu  sync.Mutex
	all []Notice
}

func (l *noticeLog) add(n Notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, n)
}

// of returns those of a kind.
func (l *noticeLog) of(kind NoticeKind) (all []Notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.all {
		if n.Kind == kind {
			all = append(all, n)
		}
	}
	return all
}

// While the server is away all go on with the same rate together, for a time.
func TestDownShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		var log noticeLog
		for i := range 4 {
			o, u := per(100), upstream()
			if i == 0 {
				o.Notify = log.add
			}
			e.host(o).Attach(u)
			r.saturate(ctx, i, 50, u)
		}
		time.Sleep(3 * time.Second)
		begin := time.Now()
		e.kill()
		time.Sleep(2 * time.Second)
		e.restart()
		time.Sleep(5 * time.Second)
		least, most := r.windows(begin.Add(-time.Second), time.Now(), time.Second)
		sum, _ := r.windows(begin, begin.Add(6*time.Second), 6*time.Second)
		if most > 103 || least < 5 || sum < 500 {
			t.Errorf("%d to %d in a second, %d of 600 in 6 s", least, most, sum)
		}
		if gone := log.of(Gone); len(gone) != 1 || gone[0].For != 30*time.Second {
			t.Errorf("gone: %+v", gone)
		}
		if back := log.of(Back); len(back) != 1 || back[0].Time.Sub(begin) > 2500*time.Millisecond {
			t.Errorf("back: %v", back)
		}

		begin = time.Now()
		e.kill()
		time.Sleep(time.Minute)
		least, most = r.windows(begin.Add(2*time.Second), begin.Add(29*time.Second), time.Second)
		if most > 103 || least < 97 {
			t.Errorf("%d to %d in a second", least, most)
		}
		begin = begin.Add(30001 * time.Millisecond)
		if _, most = r.windows(begin, time.Now(), time.Second); most > 0 {
			t.Errorf("%d in a second when it was gone for long", most)
		}
		if n := len(log.of(Stopped)); n != 1 {
			t.Errorf("%d times stopped", n)
		}
		begin = time.Now()
		e.restart()
		time.Sleep(10 * time.Second)
		least, most = r.windows(begin.Add(2*time.Second), time.Now(), time.Second)
		if most > 103 || least < 97 {
			t.Errorf("%d to %d in a second when it is back", least, most)
		}
	})
}

// One host is cut off: it goes on with its share, which the others leave to it.
func TestDownForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var r record
		ctx, stop := r.context(t)
		defer stop()
		cut := newLink(e)
		for i := range 4 {
			u := upstream()
			q := e.via(cut.dialIf(i == 0), per(100))
			q.Attach(u)
			r.saturate(ctx, i, 50, u)
		}
		time.Sleep(3 * time.Second)
		begin := time.Now()
		cut.set(true)
		time.Sleep(50 * time.Second)
		least, most := r.windows(begin, begin.Add(29*time.Second), time.Second)
		t.Logf("%d to %d in a second", least, most)
		if most > 103 || least < 70 {
			t.Errorf("%d to %d in a second", least, most)
		}
		// Its share is the others' when it has stopped.
		least, most = r.windows(begin.Add(36*time.Second), time.Now(), time.Second)
		if most > 103 || least < 97 {
			t.Errorf("%d to %d in a second without it", least, most)
		}
		begin = time.Now()
		cut.set(false)
		time.Sleep(10 * time.Second)
		least, most = r.windows(begin, time.Now(), time.Second)
		if most > 103 || least < 97 {
			t.Errorf("%d to %d in a second when it is back", least, most)
		}
	})
}

// What else may be done about it.
func TestDownOtherwise(t *testing.T) {
	for _, test := range []struct {
		down  Down
		local float64
		want  int // in any second
	}{{Stop, 0, 0}, {Local, 0, 50}, {Local, 7, 14}} {
		t.Run(test.down.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t)
				var r record
				ctx, stop := r.context(t)
				defer stop()
				for i := range 2 {
					o, u := per(50), upstream()
					o.Down, o.LocalRate = test.down, per(test.local).Rate
					e.host(o).Attach(u)
					r.saturate(ctx, i, 50, u)
				}
				time.Sleep(3 * time.Second)
				begin := time.Now()
				e.kill()
				time.Sleep(time.Minute)
				least, most := r.windows(begin.Add(2*time.Second), time.Now(), time.Second)
				if least < test.want-2 || most > test.want+2 {
					t.Errorf("%d to %d in a second, want %d", least, most, test.want)
				}
			})
		})
	}
}

// A process that never heard of the server may run on a machine that was suspended once.
func TestNoContactAfterSuspend(t *testing.T) {
	c := contact{suspended: -time.Hour}
	now := time.Now()
	if age := c.age(now); age < alone {
		t.Errorf("the last contact was %v ago, though there was none", age)
	}
	err := errors.New("no route")
	if c.fail(now, now, err) || !c.fail(now, now.Add(patience), err) {
		t.Errorf("down: %v, want it after %v of calls that fail", c.down, patience)
	}
}

// A server that is not there when a process starts.
func TestOpenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		e.kill()
		_, err := e.open(per(10))
		if gone := (*UnavailableError)(nil); !errors.As(err, &gone) ||
			!strings.HasPrefix(err.Error(), "the Redis server server:6379 cannot be used: ") {
			t.Errorf("error %v", err)
		}
		o := per(10)
		o.Down, o.LocalRate = Local, 3
		q := e.host(o)
		l, err := q.Lease(t.Context(), 1)
		if err == nil {
			t.Errorf("at first: %+v", l)
		}
		time.Sleep(time.Second)
		l, err = q.Lease(t.Context(), 1)
		test.OK(t, err)
		if l.N != 1 {
			t.Errorf("by itself: %+v", l)
		}
		e.restart()
		time.Sleep(2 * time.Second)
		if got := e.host(Options{}).Settings().Rate; got != 10 {
			t.Errorf("the server has a rate of %v", got)
		}
	})
}

// A share of what may be in flight is good for a shorter time, which is said.
func TestDownInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var log noticeLog
		u := upstream()
		o := inFlight(8)
		o.Notify = log.add
		e.host(o).Attach(u)
		sends := func() bool {
			p, ok := u.TryAcquire(1)
			if ok {
				p.Release()
			}
			return ok
		}
		time.Sleep(3 * time.Second)
		e.kill()
		time.Sleep(4900 * time.Millisecond)
		if gone := log.of(Gone); len(gone) != 1 || gone[0].For != 6*time.Second {
			t.Errorf("gone: %+v", gone)
		}
		if n := len(log.of(Stopped)); n != 0 || !sends() {
			t.Errorf("%d times stopped before 5 s, or nothing is sent", n)
		}
		time.Sleep(2 * time.Second)
		if n := len(log.of(Stopped)); n != 1 || sends() {
			t.Errorf("%d times stopped, or something is sent", n)
		}
	})
}
