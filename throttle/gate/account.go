package gate

import (
	"math"
	"strings"
	"time"
)

const (
	maxAccounts = 1 << 16 // that have nothing in flight, some 250 bytes each
	fewAccounts = 1 << 10 // not worth clearing up
	maxKey      = 128     // bytes of a key that are kept: most names, addresses and hashes
	maxRules    = 1 << 10 // more than there are plans, were LimitsFor to invent some

	// maxHold is the longest that a request is sent away for because others of its key are being
	// served: what takes longer may end at any time.
	maxHold = time.Minute
)

// An account is what a gate knows of one key.
type account struct {
	// due is when all tokens used are refilled: the theoretical arrival time of the generic cell
	// rate algorithm.
	due      time.Duration
	interval time.Duration // between two tokens, by which due was reckoned

	inFlight int
	began    time.Duration // the sum of when those in flight began
	held     time.Duration // how long they take, a fading mean; if zero, not known
}

// An admission is what a gate decided about one request.
type admission struct {
	kind    EventKind
	rules   *rules
	account *account // if nil, refused
	began   time.Duration
	limit   string // RateLimit; if empty, none
	wait    int64  // Retry-After of a refusal
}

// enter admits a request of this key and weight, or does not.
func (g *Gate) enter(key string, weight int) admission {
	var limits Limits
	if g.LimitsFor != nil {
		limits = g.LimitsFor(key)
	}
	now := g.now() // before the lock, which all callers share
	g.mu.Lock()
	defer g.mu.Unlock()
	a, l := g.accountLocked(key, now), g.mu.rules
	if g.LimitsFor != nil {
		l = g.rulesLocked(limits)
		a.follow(l, now)
	}
	cost, debt := l.cost(weight), max(a.due-now, 0)
	over := debt - max(l.burst-cost, 0) // what is owed beyond what may be
	switch {
	case a.inFlight >= l.inFlight:
		g.mu.stats.RefusedByInFlight++
		wait := retryAfter(max(a.hold(now), over))
		return admission{kind: EventRefusedByInFlight, rules: l, limit: l.none, wait: wait}
	case cost > 0 && over > l.early:
		g.mu.stats.RefusedByRate++
		wait := retryAfter(over) // when it is not even early
		limit := l.rateLimit(0, wait)
		return admission{kind: EventRefusedByRate, rules: l, limit: limit, wait: wait}
	}
	limit := l.whole
	if cost > 0 {
		a.due, a.interval = now+debt+cost, l.interval
		if over > 0 {
			// about a hundredth at most
			less := math.Ceil(float64(l.quota) * over.Seconds() / l.catch.Seconds())
			limit = l.rateLimit(l.quota-int64(less), l.window)
		}
	}
	a.inFlight++
	a.began += now
	g.mu.stats.InFlight++
	g.mu.stats.Admitted++
	return admission{rules: l, account: a, began: now, limit: limit}
}

// leave ends what enter has admitted.
func (g *Gate) leave(a *account, began time.Duration) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.stats.InFlight--
	a.inFlight--
	a.began -= began
	if a.held == 0 {
		a.held = now - began
	}
	a.held += (now - began - a.held) / 8
}

// follow goes over to other rules: the tokens used are still used, and take as long to refill as
// these say.
func (a *account) follow(l *rules, now time.Duration) {
	if debt := a.due - now; debt > 0 && a.interval != l.interval {
		scaled := float64(debt) / float64(a.interval) * float64(l.interval)
		a.due = now + time.Duration(min(scaled, float64(slowest)))
	}
	a.interval = l.interval
}

// hold guesses how long a request is in flight. While the first ones are, what there is to go by is
// how long they have been.
func (a *account) hold(now time.Duration) time.Duration {
	n := time.Duration(a.inFlight)
	return min(max(a.held, (n*now-a.began)/n), maxHold)
}

// retryAfter is a wait in whole seconds, rounded up.
func retryAfter(d time.Duration) int64 {
	return max(int64((d+time.Second-1)/time.Second), 1)
}

// rulesLocked returns the rules of limits that LimitsFor returned. It requires that mu is held.
func (g *Gate) rulesLocked(limits Limits) *rules {
	l := g.mu.others[limits]
	if l == nil {
		if err := limits.validate(); err != nil {
			panic(err)
		}
		if len(g.mu.others) >= maxRules {
			clear(g.mu.others)
		}
		l = newRules(g.Name, limits)
		g.mu.others[limits] = l
	}
	return l
}

// accountLocked returns the account of a key. It requires that mu is held.
func (g *Gate) accountLocked(key string, now time.Duration) *account {
	a := g.mu.accounts[key]
	if a == nil {
		if len(g.mu.accounts) >= g.mu.clearAt {
			g.clearLocked(now)
		}
		a = &account{}
		// The key may be a small part of a large header, which it would keep alive.
		g.mu.accounts[strings.Clone(key)] = a
	}
	return a
}

// clearLocked forgets the accounts that are as good as new and, if these are too few, some that are
// not but have nothing in flight. It puts the next time off for so long that it costs little for
// each account made. It requires that mu is held.
func (g *Gate) clearLocked(now time.Duration) {
	for key, a := range g.mu.accounts {
		if a.inFlight == 0 && a.due <= now {
			delete(g.mu.accounts, key)
		}
	}
	for key, a := range g.mu.accounts {
		if len(g.mu.accounts) <= maxAccounts/4*3 {
			break
		}
		if a.inFlight == 0 {
			delete(g.mu.accounts, key)
		}
	}
	n := len(g.mu.accounts)
	g.mu.clearAt = max(fewAccounts, min(2*n, maxAccounts), n+n/4)
}
