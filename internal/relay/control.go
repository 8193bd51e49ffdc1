package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/throttle"
)

// A control is what people change while the relay runs. Its mu protects it, and has changes follow
// one another.
type control struct {
	drained context.Context // ends when a person asks for that
	drain   context.CancelCauseFunc

	mu    sync.Mutex
	asked map[string]throttle.UpstreamStats // by key: how a server had paused itself before
}

// A Change is one of limits. What is nil stays as it is; what is 0 is found by the relay.
type Change struct {
	Rate     *float64 // requests a second
	InFlight *int
}

// A Standing is how a target stands: the limits that were given, and its pause by hand.
type Standing struct {
	Target   string     `json:"target"`
	Upstream string     `json:"upstream"`    // its origin; targets that share it share all this
	Rate     *float64   `json:"rps"`         // requests a second; null: it is found
	InFlight *int       `json:"concurrency"` // null: it is found
	Paused   bool       `json:"paused"`
	Until    *time.Time `json:"until"` // null: not paused, or until somebody resumes it
}

// Standings returns how the targets stand, by name.
func (r *Relay) Standings() (all []Standing) {
	now := time.Now()
	for _, name := range r.names() {
		key := r.targets[name].key
		u := r.transport.Upstream(key).Stats()
		s := Standing{Target: name, Upstream: key, Paused: status.PausedByHand(u)}
		if u.Limits.Rate > 0 {
			s.Rate = new(float64(u.Limits.Rate))
		}
		if u.Limits.InFlight > 0 {
			s.InFlight = &u.Limits.InFlight
		}
		if s.Paused && !status.Open(u.Paused, now) {
			s.Until = new(u.Paused.UTC())
		}
		all = append(all, s)
	}
	return all
}

// keysOf returns the keys of a target, or of all if the name is empty.
func (r *Relay) keysOf(target string) ([]string, error) {
	if target == "" {
		return r.view.keys, nil
	}
	t := r.targets[target]
	if t == nil {
		return nil, errors.New(status.NoTarget(target, r.names()))
	}
	return []string{t.key}, nil
}

// SetLimits changes the limits of a target, or of all if the name is empty. Who asks for it is said
// in the log, as of the methods below.
func (r *Relay) SetLimits(target string, c Change, who string) error {
	keys, err := r.keysOf(target)
	if err != nil {
		return err
	}
	r.control.mu.Lock()
	defer r.control.mu.Unlock()
	changed := make([]throttle.Limits, len(keys))
	for i, key := range keys { // all or none
		l := &changed[i]
		*l = r.transport.Upstream(key).Stats().Limits
		if c.Rate != nil {
			l.Rate = rate.Limit(*c.Rate)
		}
		if c.InFlight != nil {
			l.InFlight = *c.InFlight
		}
		if l.Fixed && l.Rate == 0 && l.InFlight == 0 {
			return errors.New(status.FixedNothing)
		}
		if err := l.Validate(); err != nil {
			return err
		}
	}
	for i, key := range keys {
		if err := r.transport.Upstream(key).SetLimits(changed[i]); err != nil {
			return err
		}
		r.Log.Info(status.LimitsChanged(key, changed[i], who))
	}
	return nil
}

// Pause has requests to a target, or to all if the name is empty, wait for so long; if zero, until
// Resume. It replaces a pause by hand, and does not shorten one that the server asked for.
func (r *Relay) Pause(target string, length time.Duration, who string) error {
	keys, err := r.keysOf(target)
	if err != nil {
		return err
	}
	r.control.mu.Lock()
	defer r.control.mu.Unlock()
	for _, key := range keys {
		u := r.transport.Upstream(key)
		r.endLocked(key, u)
		if s := u.Stats(); !s.Paused.IsZero() {
			r.control.asked[key] = s
		}
		lasts := length
		if lasts == 0 {
			lasts = status.Someday
		}
		u.Pause(time.Now().Add(lasts), status.ByHand)
		r.Log.Info(status.HandPaused(key, length, who))
	}
	return nil
}

// Resume ends a pause by hand. What the server itself asked for before that still holds.
func (r *Relay) Resume(target, who string) error {
	keys, err := r.keysOf(target)
	if err != nil {
		return err
	}
	r.control.mu.Lock()
	defer r.control.mu.Unlock()
	for _, key := range keys {
		u := r.transport.Upstream(key)
		if r.endLocked(key, u) {
			r.Log.Info(status.HandResumed(key, u.Stats().Paused, time.Now(), who))
		}
	}
	return nil
}

// endLocked ends a pause by hand, and reports whether there was one. It requires control.mu.
func (r *Relay) endLocked(key string, u *throttle.Upstream) bool {
	asked := r.control.asked[key]
	delete(r.control.asked, key)
	if s := u.Stats(); !status.PausedByHand(s) || s.PauseSource == status.QuotaByHand {
		return false
	}
	u.Resume()                  // a request may leave before what follows
	if !asked.Paused.IsZero() { // in the past it changes nothing
		u.Pause(asked.Paused, asked.PauseSource)
	}
	return true
}

// Drain has the relay take nothing new, and end as it does after a signal. The cause is for people.
func (r *Relay) Drain(cause error) {
	r.stopping.Store(true)
	r.control.drain(cause)
}
