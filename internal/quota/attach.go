package quota

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/throttle"
)

// An Upstream is what obeys a quota: a [throttle.Upstream].
type Upstream interface {
	SetLeaser(throttle.Leaser)
	Cap(n int, until time.Time)
	Pause(until time.Time, source string)
	Resume()
	Expect(rate.Limit)
	Stats() throttle.UpstreamStats
}

// An attachment is an upstream and its part of what may be in flight.
type attachment struct {
	upstream Upstream
	name     string // among those of all processes
	// its slots are of this rate, or it needs none; with the Quota's lock held
	rate rate.Limit

	// The version of the pause that it was told of last, and its end; with telling held.
	pauses int64
	paused time.Time

	// What it was sending at when the others last heard of it; if zero, nothing was found. Only for
	// the goroutine that keeps in contact.
	expects float64

	// Of a limit of those in flight, with the Quota's lock held:
	limited bool
	may     int       // in flight, until the next answer
	until   time.Time // how long that is good for
	held    int       // the most that the server may take it to hold
}

// lifetime is for how long a part of what may be in flight is good without news. The others get it
// 4 s later, when requests that were begun in time have ended, unless they take longer.
const lifetime = 6 * time.Second

// Attach has an upstream obey the quota, all of it: its rate, its limit of those in flight and its
// pauses, as they are at any time. It returns a function that ends that.
func (q *Quota) Attach(u Upstream) (detach func()) {
	q.start()
	q.mu.Lock()
	q.mu.attachments++
	a := &attachment{upstream: u, name: fmt.Sprintf("%s/%d", q.id, q.mu.attachments)}
	q.mu.attached[a] = true
	if q.mu.contact.pause.until.IsZero() {
		a.pauses = q.mu.view.pauses // to end a pause of its own is not asked of it
	}
	q.mu.Unlock()
	q.fit(a)
	q.pause(a)
	q.wake()
	return func() {
		still := u.Stats().InFlight
		q.mu.Lock()
		if q.mu.attached[a] && a.limited && still == 0 { // else they end when they are not renewed
			q.mu.left = append(q.mu.left, a.name)
		}
		delete(q.mu.attached, a)
		q.mu.Unlock()
		q.fit(a)
		q.wake()
	}
}

// A lender is a Quota at one rate, since it was away last: an upstream that is given another gives
// up its slots, and one that has it already does not.
type lender struct {
	*Quota
	rate rate.Limit
	back int
}

func (q *Quota) lender(r rate.Limit) lender {
	q.mu.Lock()
	defer q.mu.Unlock()
	return lender{q, r, q.mu.back}
}

// attachments returns the upstreams that are attached, by their names.
func (q *Quota) attachments() []*attachment {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*attachment, 0, len(q.mu.attached))
	for a := range q.mu.attached {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *attachment) int { return strings.Compare(a.name, b.name) })
	return all
}

// refit has all upstreams obey settings that are new.
func (q *Quota) refit() {
	for _, a := range q.attachments() {
		q.fit(a)
	}
	q.wake()
}

// fit has an upstream obey the settings. Where what is in flight is limited from now on, it may
// have nothing in flight until the server says how much of it is its own.
func (q *Quota) fit(a *attachment) {
	q.telling.Lock()
	defer q.telling.Unlock()
	q.mu.Lock()
	s := q.mu.view.settings
	if !q.mu.attached[a] {
		s = Settings{}
	}
	pace, before := a.rate, a.limited
	a.rate, a.limited = s.Rate, s.InFlight > 0
	if a.limited && !before {
		a.may, a.until = 0, time.Time{}
	}
	q.mu.Unlock()
	switch {
	case s.Rate == pace:
	case s.Rate > 0:
		a.upstream.SetLeaser(q.lender(s.Rate))
	default:
		a.upstream.SetLeaser(nil)
	}
	if s.InFlight > 0 && !before {
		a.upstream.Cap(0, time.Now())
	} else if s.InFlight <= 0 && before {
		a.upstream.Cap(-1, time.Time{})
	}
}

// pause has an upstream obey the pause that is in force, or the end of one, unless it does already.
func (q *Quota) pause(a *attachment) {
	q.telling.Lock()
	defer q.telling.Unlock()
	q.mu.Lock()
	p, version, attached := q.mu.contact.pause, q.mu.view.pauses, q.mu.attached[a]
	q.mu.Unlock()
	if !attached || version == a.pauses {
		return
	}
	if p.until.Before(a.paused) || p.until.IsZero() {
		a.upstream.Resume()
	}
	if !p.until.IsZero() {
		a.upstream.Pause(p.until, p.source)
	}
	a.pauses, a.paused = version, p.until
}

// letGo has all upstreams let nothing in any more where that is limited, and returns the names of
// those whose permits others may have at once. Those of requests that are still in flight end when
// they are not renewed.
func (q *Quota) letGo() (permits []any) {
	q.telling.Lock()
	defer q.telling.Unlock()
	for _, a := range q.attachments() {
		q.mu.Lock()
		limited := a.limited
		q.mu.Unlock()
		if !limited {
			continue
		}
		a.upstream.Cap(0, time.Now())
		if a.upstream.Stats().InFlight == 0 {
			permits = append(permits, a.name)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, name := range q.mu.left {
		permits = append(permits, name)
	}
	return permits
}

// A demand is what one upstream wants of what may be in flight.
type demand struct {
	a          *attachment
	stats      throttle.UpstreamStats
	want, held int
}

// demands returns what each upstream wants, and holds at the most until it is told anew.
func (q *Quota) demands() []demand {
	all := q.attachments()
	ds := make([]demand, 0, len(all))
	for _, a := range all {
		s := a.upstream.Stats()
		q.mu.Lock()
		d := demand{a, s, s.InFlight + s.Wanted, s.InFlight}
		if time.Until(a.until) > 0 {
			d.held = max(d.held, a.may)
		}
		q.mu.Unlock()
		ds = append(ds, d)
	}
	return ds
}

// allot tells the upstreams what the server answered to their demands, which was asked at sent.
func (q *Quota) allot(ds []demand, may []int, sent time.Time) {
	q.telling.Lock()
	defer q.telling.Unlock()
	for i, d := range ds {
		q.mu.Lock()
		limited := d.a.limited && q.mu.attached[d.a] && may[i] >= 0
		if limited {
			d.a.may, d.a.until, d.a.held = may[i], sent.Add(lifetime), max(d.held, may[i])
		}
		until := d.a.until
		q.mu.Unlock()
		if limited {
			if q.options.Down == Local {
				until = until.AddDate(1, 0, 0) // its last part, without an end
			}
			d.a.upstream.Cap(may[i], until)
		}
	}
}

// Observe takes note of the pauses that the server asks for, and tells the other processes. It can
// be called by [throttle.Transport.Observe], and does not block. Pauses that this process made up
// have no source, and are not the others'.
func (q *Quota) Observe(e throttle.Event) {
	if e.Kind != throttle.EventPaused || e.Source == "" {
		return
	}
	q.mu.Lock()
	// Each of many answers says the same, a little later.
	const same = 100 * time.Millisecond
	later := e.Until.Sub(q.mu.contact.pause.until) > same && e.Until.Sub(q.mu.pause.until) > same
	if later {
		q.mu.pause = pause{e.Until, e.Source}
	}
	q.mu.Unlock()
	if later {
		q.start()
		q.wake()
	}
}
