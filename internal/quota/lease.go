package quota

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/penstock/penstock/throttle"
)

var _ throttle.Leaser = (*Quota)(nil)

const (
	// retryAfter is when to ask again after a call that failed.
	retryAfter = 100 * time.Millisecond
	// span is how many slots of its own a process takes at once, as a time: what it still has when
	// the server is back is sent besides what that grants.
	span = 100 * time.Millisecond
)

// Lease is [throttle.Leaser]. Without a rate it grants nothing; an upstream that is attached does
// not ask then.
func (q *Quota) Lease(ctx context.Context, want int) (throttle.Lease, error) {
	q.start()
	q.mu.Lock()
	closed := q.mu.closed
	q.mu.Unlock()
	if closed {
		return throttle.Lease{}, &waitError{err: fmt.Errorf("the quota %q was closed", q.Name())}
	}
	if down, _ := q.down(); down {
		return q.byItself(want)
	}
	a, err := q.call(ctx, reserveScript, q.id, want)
	if err == nil {
		return q.granted(a)
	}
	if ctx.Err() != nil {
		return throttle.Lease{}, context.Cause(ctx)
	}
	down, next := q.down()
	if down {
		return q.byItself(want)
	}
	return throttle.Lease{}, &waitError{next, err}
}

// down reports whether the server has been away for so long that this process goes on by itself,
// and if not, when to look again.
func (q *Quota) down() (down bool, next time.Time) {
	q.mu.Lock()
	c := &q.mu.contact
	now := time.Now()
	left, err := retryAfter, c.err
	failing := !c.failing.IsZero()
	if failing {
		left = min(left, c.patience(now))
	}
	down = c.down
	q.mu.Unlock()
	if failing && !down && left <= 0 {
		q.failed(now, err)
		return true, time.Time{}
	}
	return down, now.Add(max(left, time.Millisecond))
}

// granted reads what the script granted.
func (q *Quota) granted(a *answer) (throttle.Lease, error) {
	var n [5]float64
	for i := range n {
		if i >= len(a.values) {
			return throttle.Lease{}, fmt.Errorf("the script returned %d values", len(a.values))
		}
		var err error
		if n[i], err = strconv.ParseFloat(a.values[i], 64); err != nil {
			return throttle.Lease{}, fmt.Errorf("the script returned %.20q", a.values[i])
		}
	}
	count, start, every, again, end := int(n[0]), n[1], n[2], n[3], int64(n[4])
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.view.booked = max(end, q.mu.view.booked)
	if count <= 0 {
		wait := max(time.Duration(again)*time.Microsecond, 5*time.Millisecond)
		return throttle.Lease{Again: a.received.Add(wait)}, nil
	}
	q.mu.granted += int64(count)
	first := q.mu.contact.offset.local(a.now + int64(start))
	if first.Before(a.received) { // the answer took longer than others
		first = a.received
	}
	return throttle.Lease{First: first, Every: time.Duration(every * 1e3), N: count}, nil
}

// byItself grants slots of this process's last share. Those of all processes make one even row: all
// reckon by the server's clock, and each has its place among them.
func (q *Quota) byItself(want int) (throttle.Lease, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	c, v := &q.mu.contact, &q.mu.view
	sleep := &waitError{now.Add(patience / 2), c.err}
	period, rank := float64(v.hosts)/float64(v.settings.Rate), v.rank
	until := time.Duration(math.MaxInt64)
	switch q.options.Down {
	case Stop:
		return throttle.Lease{}, sleep
	case Local:
		if q.options.LocalRate > 0 {
			period, rank = 1/float64(q.options.LocalRate), 0
		}
	default:
		until = alone - c.age(now)
	}
	if until <= 0 || !(period > 0) || math.IsInf(period, 0) {
		return throttle.Lease{}, sleep
	}
	if c.offset.base.IsZero() { // there was no contact yet
		c.offset.see(now.UnixMicro(), now)
	}
	period *= 1e6
	from := float64(max(c.offset.remote(now), q.mu.fallback))
	shift := float64(rank) * period / float64(max(v.hosts, 1))
	first := math.Ceil((from-shift)/period)*period + shift
	at := c.offset.local(int64(first))
	rest := min(span, until-at.Sub(now))
	if rest < 0 {
		return throttle.Lease{}, sleep
	}
	n := min(want, max(int(float64(rest.Microseconds())/period), 1))
	q.mu.fallback = int64(first + (float64(n)-0.5)*period)
	q.mu.granted += int64(n)
	return throttle.Lease{First: at, Every: time.Duration(period * 1e3), N: n}, nil
}

// A waitError is why nothing is granted until an instant; if that is zero, never.
type waitError struct {
	at  time.Time
	err error
}

func (e *waitError) Error() string      { return e.err.Error() }
func (e *waitError) Unwrap() error      { return e.err }
func (e *waitError) RetryAt() time.Time { return e.at }
