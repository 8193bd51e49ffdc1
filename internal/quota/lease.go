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
	if until := q.own(); time.Until(until) > 0 {
		return throttle.Lease{Again: until}, nil
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

// own returns when the last of this process's own slots has had its time.
func (q *Quota) own() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.fallback == 0 {
		return time.Time{}
	}
	return q.mu.contact.offset.local(q.mu.fallback)
}

// returnOwn gives up slots of this process's own that are not used yet, now that the server grants
// its share to those that are there. The last one that was used has its time.
func (q *Quota) returnOwn() {
	q.telling.Lock()
	defer q.telling.Unlock()
	q.mu.Lock()
	q.mu.back++
	v, c := &q.mu.view, &q.mu.contact
	if period := 1e6 * float64(v.hosts) / float64(v.settings.Rate); q.mu.fallback != 0 {
		q.mu.fallback = min(q.mu.fallback, c.offset.remote(time.Now())+int64(min(period, 1e12)))
	}
	q.mu.Unlock()
	for _, a := range q.attachments() {
		q.mu.Lock()
		r := a.rate
		q.mu.Unlock()
		if r > 0 {
			a.upstream.SetLeaser(q.lender(r))
		}
	}
}

// granted reads what the script granted.
func (q *Quota) granted(a *answer) (throttle.Lease, error) {
	var n [4]float64
	for i := range n {
		if i >= len(a.values) {
			return throttle.Lease{}, fmt.Errorf("the script returned %d values", len(a.values))
		}
		var err error
		if n[i], err = strconv.ParseFloat(a.values[i], 64); err != nil {
			return throttle.Lease{}, fmt.Errorf("the script returned %.20q", a.values[i])
		}
	}
	count, start, every, again := int(n[0]), n[1], n[2], n[3]
	q.mu.Lock()
	defer q.mu.Unlock()
	if count <= 0 {
		wait := max(time.Duration(again)*time.Microsecond, 5*time.Millisecond)
		return throttle.Lease{Again: a.received.Add(wait)}, nil
	}
	q.mu.granted += int64(count)
	// The answer may have taken longer than others. A little later the slots are void.
	const little = 20 * time.Millisecond
	first := q.mu.contact.offset.local(a.now + int64(start))
	first = latest(first, earliest(a.received, first.Add(little)))
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
		if r := q.options.LocalRate; r > 0 {
			if v.settings.Rate > 0 { // which people may have set to less
				r = min(r, v.settings.Rate)
			}
			period, rank = 1/float64(r), 0
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
	// The others may have been granted slots until this one was silent, and use them first.
	line := max(least, micros(int64(2e6*float64(v.hosts)/float64(v.settings.Rate)))) * 5 / 4
	from := max(float64(c.offset.remote(now)), float64(q.mu.fallback)-period/2)
	if q.options.Down == Share {
		from = max(from, float64(c.offset.remote(c.last.Add(silent+line))))
	}
	shift := float64(rank) * period / float64(max(v.hosts, 1))
	first := math.Ceil((from-shift)/period)*period + shift
	at := c.offset.local(int64(first))
	rest := min(span, until-at.Sub(now))
	if rest < 0 {
		return throttle.Lease{}, sleep
	}
	n := min(want, max(int(float64(rest.Microseconds())/period), 1))
	q.mu.fallback = int64(first + float64(n)*period)
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
