package quota

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// learn records an answer, and acts on its news.
func (q *Quota) learn(a *answer, id string, sent time.Time) {
	q.mu.Lock()
	c, before := &q.mu.contact, q.mu.view
	back := c.ok(sent)
	// Of two calls at once the later one may be read first.
	if late := before.now - a.now; a.epoch == before.epoch && late > 0 && late < 1e6 {
		q.mu.Unlock()
		if back {
			q.tell(Notice{Kind: Back, Time: a.received})
		}
		return
	}
	if a.epoch != before.epoch { // it may be another clock
		c.offset, q.mu.fallback = offset{}, 0
	}
	c.offset.see(a.now, a.received)
	a.counted = before.counted || id != ""
	if id == "" { // it was not counted
		a.hosts, a.rank = max(a.hosts, before.hosts), before.rank
	}
	// An answer may have been given before news that were faster.
	a.pauses = max(a.pauses, before.pauses)
	if a.version < before.version {
		a.version, a.settings, a.given = before.version, before.settings, before.given
	}
	q.mu.view = a.view
	closed := q.mu.closed
	paused, was := a.pauses > before.pauses, c.pause
	if paused {
		c.pause = a.pause
	}
	q.mu.Unlock()
	if paused {
		q.spread()
		q.tellPause(was, a.pause)
	}
	n := Notice{Time: a.received, Settings: a.settings, Hosts: a.hosts}
	tell := func(kind NoticeKind, isSo bool) {
		if n.Kind = kind; isSo {
			q.tell(n)
		}
	}
	tell(Back, back)
	if back {
		q.returnOwn()
	}
	changed := a.settings != before.settings
	if changed {
		q.refit()
	}
	tell(Changed, changed && before.epoch != "")
	if (changed || a.given != before.given) && before.epoch != "" {
		q.differs()
	}
	tell(Hosts, id != "" && !closed && a.hosts != before.hosts && before.epoch != "")
}

// failed notes that a call that was sent at an instant failed.
func (q *Quota) failed(sent time.Time, err error) {
	q.mu.Lock()
	now := time.Now()
	c := &q.mu.contact
	known := !c.last.IsZero() && !q.mu.closed // else Open says so, or it does not matter
	down := c.fail(sent, now, err) && known
	most := alone
	if q.mu.view.settings.InFlight > 0 {
		most = lifetime
	}
	closed := known && c.down && !c.closed && q.options.Down == Share && c.age(now) >= most
	c.closed = c.closed || closed
	n := Notice{
		Kind: Gone, Time: now, Err: err, Down: q.options.Down,
		Settings: q.mu.view.settings, Hosts: q.mu.view.hosts,
	}
	if n.Down == Share {
		n.For = most
	}
	q.mu.Unlock()
	if down {
		q.tell(n)
	}
	if n.Kind = Stopped; closed {
		q.tell(n)
	}
}

// spread has all upstreams obey a pause that is new, or the end of one.
func (q *Quota) spread() {
	for _, a := range q.attachments() {
		q.pause(a)
	}
}

// listen waits for news, which spare the time to the next beat.
func (q *Quota) listen() {
	sub := q.client.Subscribe(q.ctx, q.target.channel())
	defer sub.Close()
	news := sub.Channel(redis.WithChannelHealthCheckInterval(5 * time.Second))
	for {
		select {
		case <-q.ctx.Done():
			return
		case m, ok := <-news:
			if !ok {
				return
			}
			q.hear(m.Payload)
		}
	}
}

// hear acts on news.
func (q *Quota) hear(text string) {
	rest, ok := strings.CutPrefix(text, "pause ")
	if !ok {
		q.wake()
		return
	}
	var version, left int64
	if n, _ := fmt.Sscan(rest, &version, &left); n < 2 {
		q.wake()
		return
	}
	var p pause
	if fields := strings.SplitN(rest, " ", 3); left > 0 && len(fields) == 3 {
		p = pause{time.Now().Add(micros(left)), fields[2]}
	}
	q.mu.Lock()
	newer, was := version > q.mu.view.pauses, q.mu.contact.pause
	if newer {
		q.mu.view.pauses, q.mu.contact.pause = version, p
	}
	q.mu.Unlock()
	if newer {
		q.spread()
		q.tellPause(was, p)
	}
}

// tellPause tells of a pause that is new, or the early end of one.
func (q *Quota) tellPause(was, is pause) {
	now := time.Now()
	switch {
	case is.until.After(now):
		q.tell(Notice{Kind: Paused, Time: now, Until: is.until, Source: is.source})
	case was.until.After(now):
		q.tell(Notice{Kind: Resumed, Time: now})
	}
}

// Pause has all processes send nothing until an instant. Of several pauses the one that ends last
// holds. The source is for people to read.
func (q *Quota) Pause(ctx context.Context, until time.Time, source string) error {
	if time.Until(until) <= 0 {
		return nil
	}
	return q.insist(ctx, pauseScript, func() []any {
		return []any{max(time.Until(until), 1).Microseconds(), source}
	})
}

// Resume ends a pause for all processes.
func (q *Quota) Resume(ctx context.Context) error {
	return q.insist(ctx, pauseScript, func() []any { return []any{0, ""} })
}

// Set changes those of the settings that are not nil, for all processes and at once. Zero removes
// one.
func (q *Quota) Set(ctx context.Context, c Changes) error {
	var s Settings
	s.Rate, s.Burst, s.InFlight = deref(c.Rate), deref(c.Burst), deref(c.InFlight)
	if err := s.validate(); err != nil {
		return err
	}
	return q.insist(ctx, setScript, c.args)
}

// insist calls a script that does nothing if something has changed that this process did not know.
func (q *Quota) insist(ctx context.Context, script *redis.Script, args func() []any) error {
	for range 10 {
		a, err := q.call(ctx, script, "", args()...)
		if err != nil || len(a.values) > 0 && a.values[0] == "1" {
			return err
		}
	}
	return fmt.Errorf("the quota %q is being changed by others all the time: try again", q.Name())
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
