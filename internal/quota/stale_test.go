package quota

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/internal/test"
)

// again sends what a call of q sent, with what q knew then, as one that was held up on its way.
func (q *Quota) again(t *testing.T, script *redis.Script, known view, args ...any) {
	t.Helper()
	all := append([]any{"", 1, known.epoch, known.now, 0, known.pauses, 0, "", known.version},
		append(known.settings.args(), known.given.args()...)...)
	_, err := script.Run(t.Context(), q.client, q.target.keys, append(all, args...)...).Result()
	test.OK(t, err)
}

// What comes late changes nothing.
func TestLateCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		a, b := e.host(inFlight(8)), e.host(Options{})
		beat := func(q *Quota, number, want, held int) string {
			t.Helper()
			x, err := q.call(t.Context(), beatScript, q.id, number, "{}", q.id+"/1", want, held)
			test.OK(t, err)
			if len(x.values) == 0 {
				return ""
			}
			return x.values[0]
		}
		time.Sleep(3 * time.Second)
		beat(a, 1, 0, 0)
		beat(b, 1, 0, 0)
		time.Sleep(3 * time.Second)
		if got := beat(a, 3, 8, 0); got != "8" {
			t.Errorf("one may have %s, want 8", got)
		}
		if got := beat(a, 2, 0, 0); got != "" {
			t.Errorf("a late beat is told %s", got)
		}
		if got := beat(b, 2, 8, 0); got != "0" {
			t.Errorf("the other may have %s, want 0", got)
		}

		ten, twenty := per(10).Rate, per(20).Rate
		known := a.mu.view
		test.OK(t, a.Set(t.Context(), Changes{Rate: &ten}))
		test.OK(t, b.Set(t.Context(), Changes{Rate: &twenty})) // it does not know of the first
		a.again(t, setScript, known, Changes{Rate: &ten}.args()...)
		test.OK(t, a.Pause(t.Context(), time.Now().Add(time.Hour), "x"))
		known.pauses = 0
		test.OK(t, b.Resume(t.Context()))
		a.again(t, pauseScript, known, time.Hour.Microseconds(), "x")
		s, err := b.State(t.Context())
		test.OK(t, err)
		if s.Settings.Rate != 20 || !s.Paused.IsZero() {
			t.Errorf("a rate of %v, paused until %v", s.Settings.Rate, s.Paused)
		}
	})
}

// A slowConn is one whose reads are late, as those of a process that was stopped.
type slowConn struct {
	net.Conn
	by *atomic.Int64
}

func (c slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	time.Sleep(time.Duration(c.by.Load()))
	return n, err
}

func (c slowConn) SetReadDeadline(time.Time) error { return nil }
func (c slowConn) SetDeadline(time.Time) error     { return nil }

// slow returns a host whose answers are late.
func (e *engine) slow(o Options, by *atomic.Int64) *Quota {
	return e.via(func() (net.Conn, error) {
		c, err := e.dial()
		return slowConn{c, by}, err
	}, o)
}

// Slots are as old as they are, however late the answer is read.
func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		var by atomic.Int64
		q := e.slow(per(1000), &by)
		_, err := q.Lease(t.Context(), 5)
		test.OK(t, err)
		for _, late := range []time.Duration{0, 100, 290, 310} {
			late *= time.Millisecond
			by.Store(0)
			time.Sleep(2 * time.Second) // the line is empty: slots are due at once
			_, err := q.State(t.Context())
			test.OK(t, err)
			by.Store(int64(late))
			if _, err := q.call(t.Context(), beatScript, q.id, 0, "{}"); (err == nil) !=
				(late <= callTimeout) {
				t.Errorf("late by %v: error %v", late, err)
			}
			begin := time.Now()
			l, err := q.Lease(t.Context(), 100)
			switch after := l.First.Sub(begin); {
			case late > callTimeout && (err == nil || l.N > 0):
				t.Errorf("late by %v: %d slots after %v", late, l.N, after)
			case late <= callTimeout && (err != nil || l.N == 0 || after > 20*time.Millisecond):
				t.Errorf("late by %v: %d slots after %v, error %v", late, l.N, after, err)
			}
		}
	})
}
