package throttle

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dunglas/httpsfv"
	"golang.org/x/time/rate"
)

const (
	// A client that sends evenly spaced does not arrive so: networks delay one request and not the
	// next. A gate lets requests come early by minTolerance, or by a tenth of the time between two
	// where that is more. It must also allow for clients that derive a pace from whole requests in
	// RateLimit: they err by up to one in minQuota.
	minTolerance = 50 * time.Millisecond
	minQuota     = 100

	// minWindow is the span over which RateLimit states a quota, in seconds. When a client reads
	// it, it is as old as the request took, and is wrong by that share of the window; so the window
	// is many times what most requests take.
	minWindow = 600

	// minCatch is how long a client that is early should take to be on time again.
	minCatch = time.Minute

	// slowest is the longest time between two requests, some 18 years, so that
	// ten times that cannot overflow.
	slowest = time.Duration(math.MaxInt64) / 16

	maxInteger = 999_999_999_999_999 // in a structured field

	maxAccounts = 1 << 16
	fewAccounts = 1 << 10 // not worth clearing up
	maxKey      = 128     // bytes of a key that are kept

	// maxHold is the longest that a request is sent away for because others of
	// its key are being served: what takes longer may end at any time.
	maxHold = time.Minute
)

// A Gate is the server's side of the same [Limits]: a middleware that serves, for
// each key, at most Limits.InFlight requests at once and Limits.Rate a second,
// and refuses the others. The zero value has no limits and only counts.
//
//	gate := &throttle.Gate{Limits: throttle.Limits{Rate: 10, InFlight: 4}}
//	http.Handle("/upload", gate.Handler(upload))
//
// A key is a client's address unless Key is set. Handlers made by one
// gate share its counts; classes of requests are kept apart by a gate each. A
// limit over all keys together is a gate whose Key returns a constant. Put it
// inside the gate that limits each key, so that requests refused there do not count
// against the limit that all share.
//
// The guarantee: in any t seconds a key has at most rate·(t + c) + burst requests
// served, where c is 0.05 s, or a tenth of 1/rate where that is more. By c a
// request may be early: even a client that sends evenly spaced arrives with
// jitter. A request is in flight from its admission until its handler ends, by
// whichever way: it returns, it panics, its client is long gone. One that
// hijacked the connection stays in flight until the handler returns, not until
// the connection is closed: a handler that serves a WebSocket and is to keep its
// place should serve it before it returns. The handler gets the server's own
// ResponseWriter, with all that it can do.
//
// Nothing waits in a gate. What is refused is answered at once with Status, a
// Retry-After in seconds (RFC 9110, section 10.2.3) and a line of text, and its
// body is not read. Over the rate, Retry-After is when the key's next token is
// due, rounded up: a client that comes back then is served, unless another with the
// same key was first. Over InFlight it is how long requests of the key take to serve,
// a fading mean, at least 1 s and at most 60.
//
// Every answer carries the fields of draft-ietf-httpapi-ratelimit-headers-11, so
// that a client such as [Transport] learns its quota before it is refused:
//
//	RateLimit-Policy: "default";q=6000;w=600
//	RateLimit-Policy: "default-in-flight";q=4;qu="concurrent-requests"
//	RateLimit: "default";r=6000;t=600
//
// RateLimit says that no more than r requests will be served within t seconds. The
// bucket refills continuously, so r is what will be served within t if sent evenly.
// For a client that is a little early it is slightly lower. A client that spreads r
// evenly over t, less what it has in flight, is not refused; one that sends r at once
// is. On a refusal it names what was exceeded, with r=0. The Burst is not in it.
//
// A gate remembers at most 65,536 keys that have nothing in flight. Beyond that
// it forgets some, taken at random, which may then use their burst once more. No
// request is refused for lack of room. Of keys longer than 128 bytes it keeps a
// hash.
//
// [net/http] reads what remains of a refused request's body up to 256 KiB before
// it answers, and closes the connection on one that is longer; a client that is
// still sending may then miss the answer, unless it asked with Expect:
// 100-continue, on which it gets the answer and sends no body.
//
// A Gate is safe for concurrent use. Its fields must not change once it has made
// a handler, and it must not be copied.
type Gate struct {
	// Limits are those of each key; see SetLimits. Burst is how many requests may
	// come at once after a lull. It should be no less than the number of clients
	// that share a key: each may send evenly, and yet they meet. Bandwidth must be
	// zero, for a gate does not wait; Fixed means nothing here.
	Limits Limits

	// Key returns the key of the client that a request counts against. If nil,
	// [RemoteKey]. See also [HeaderKey] and [ForwardedKey], or return the name of the
	// user that a handler around the gate has authenticated.
	Key func(*http.Request) string

	// Skip, if set, reports whether a request passes without being counted, such as
	// a health check.
	Skip func(*http.Request) bool

	// Status is that of refusals: 429 Too Many Requests or 503 Service
	// Unavailable. If zero, 429, which says that this client is too fast. Where all
	// clients share one key, use 503: the server is busy, whichever client asks.
	Status int

	// Name is the name of the policies in RateLimit fields, in printable ASCII, which
	// distinguishes them from those of other gates that a request passes. If empty,
	// "default".
	Name string

	once sync.Once
	base time.Time // origin of all instants below

	mu struct {
		sync.Mutex
		limits   Limits
		rules    rules
		err      error // of the fields
		accounts map[string]*account
		clearAt  int // how many accounts there are when they are next cleared up
		stats    GateStats
	}
}

// GateStats is a snapshot of a [Gate].
type GateStats struct {
	Limits   Limits // in force
	InFlight int    // requests being served now
	Keys     int    // keys that are remembered, those with nothing in flight as well

	// Requests since the gate was made, without those skipped.
	Admitted, RefusedByRate, RefusedByInFlight int64
}

// An account is what a gate knows of one key.
type account struct {
	// due is when the next request would be on time: the bucket is empty of
	// debt. It is the theoretical arrival time of the generic cell rate algorithm
	// (ITU-T I.371, annex A).
	due time.Duration

	inFlight int
	began    time.Duration // the sum of when those in flight began
	held     time.Duration // how long they take, a fading mean; if zero, not known
}

// rules are limits in the form in which a gate applies them.
type rules struct {
	interval time.Duration // between two requests; if zero, no rate
	ahead    time.Duration // how far due may be ahead, for a burst
	early    time.Duration // and beyond that, for jitter
	catch    time.Duration // in which an early client is to be on time again
	inFlight int

	policy []string // RateLimit-Policy
	name   string   // of the policy of the rate, as a structured field
	quota  int64    // requests in its window
	window int64    // seconds
	whole  string   // RateLimit while all of the quota is left
	none   string   // and when too many are in flight

	tooFast, tooMany string // for people
}

// An admission is what a gate decided about one request.
type admission struct {
	account *account // if nil, refused
	began   time.Duration
	policy  []string // RateLimit-Policy
	limit   string   // RateLimit; empty: none
	wait    int64    // Retry-After of a refusal
	text    string   // why it is refused, for people
}

// Validate returns an error that names every field that is not valid, with its
// value.
func (g *Gate) Validate() error { return g.validate(g.Limits) }

func (g *Gate) validate(limits Limits) error {
	err := limits.Validate()
	if limits.Bandwidth > 0 {
		err = errors.Join(err, fmt.Errorf("throttle: Limits.Bandwidth is %v, want 0: a Gate limits no bytes", limits.Bandwidth))
	}
	switch g.Status {
	case 0, http.StatusTooManyRequests, http.StatusServiceUnavailable:
	default:
		err = errors.Join(err, fmt.Errorf("throttle: Gate.Status is %d, want 429, 503, or 0 for 429", g.Status))
	}
	if _, invalid := httpsfv.Marshal(httpsfv.NewItem(g.Name)); invalid != nil {
		err = errors.Join(err, fmt.Errorf("throttle: Gate.Name is %q, want printable ASCII", g.Name))
	}
	return err
}

// Handler returns a handler that passes to next what the gate admits. All
// handlers of one gate share its counts. It panics if the gate's fields are not
// valid: a program with such a gate should not begin to serve. [Gate.Validate]
// checks fields that come from a configuration.
func (g *Gate) Handler(next http.Handler) http.Handler {
	g.once.Do(g.init)
	g.mu.Lock()
	err := g.mu.err
	g.mu.Unlock()
	if err != nil {
		panic(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.Skip != nil && g.Skip(r) {
			next.ServeHTTP(w, r)
			return
		}
		a := g.enter(g.key(r))
		// Added, not set: a request may pass several gates.
		h := w.Header()
		if len(a.policy) > 0 {
			h["Ratelimit-Policy"] = append(h["Ratelimit-Policy"], a.policy...)
		}
		if a.limit != "" {
			h["Ratelimit"] = append(h["Ratelimit"], a.limit)
		}
		if a.account == nil {
			g.refuse(w, &a)
			return
		}
		defer g.leave(a.account, a.began)
		next.ServeHTTP(w, r)
	})
}

func (g *Gate) refuse(w http.ResponseWriter, a *admission) {
	status := g.Status
	if status == 0 {
		status = http.StatusTooManyRequests
	}
	w.Header().Set("Retry-After", strconv.FormatInt(a.wait, 10))
	http.Error(w, fmt.Sprintf("%s; try again in %d s", a.text, a.wait), status)
}

// SetLimits sets the limits for requests to come. It changes nothing and returns
// an error when they are not valid. What a key has used counts on, in requests;
// those in flight stay so, even if they are now too many.
func (g *Gate) SetLimits(limits Limits) error {
	g.once.Do(g.init)
	if err := g.validate(limits); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	before := g.mu.rules.interval
	g.mu.limits, g.mu.rules, g.mu.err = limits, g.rules(limits), nil
	if after := g.mu.rules.interval; before > 0 && after != before {
		scale := float64(after) / float64(before)
		for _, a := range g.mu.accounts {
			if debt := a.due - now; debt > 0 {
				a.due = now + min(seconds(debt.Seconds()*scale), slowest)
			}
		}
	}
	return nil
}

// Stats returns a snapshot.
func (g *Gate) Stats() GateStats {
	g.once.Do(g.init)
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.mu.stats
	s.Limits, s.Keys = g.mu.limits, len(g.mu.accounts)
	return s
}

func (g *Gate) init() {
	g.base = time.Now()
	g.mu.accounts = make(map[string]*account)
	g.mu.clearAt = fewAccounts
	g.mu.limits = g.Limits
	if g.mu.err = g.Validate(); g.mu.err == nil {
		g.mu.rules = g.rules(g.Limits)
	}
}

func (g *Gate) now() time.Duration { return time.Since(g.base) }

func (g *Gate) key(r *http.Request) string {
	if g.Key == nil {
		return RemoteKey(r)
	}
	key := g.Key(r)
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + string(sum[:])
}

// rules works out what the limits, which must be valid, mean for a gate.
func (g *Gate) rules(limits Limits) rules {
	l := rules{inFlight: limits.InFlight}
	if l.inFlight == 0 {
		l.inFlight = math.MaxInt
	}
	name := g.Name
	if name == "" {
		name = "default"
	}
	if r := limits.Rate; r > 0 && r != rate.Inf {
		l.interval = min(max(seconds(1/float64(r)), 1), slowest)
		l.ahead = slowest
		if more := time.Duration(max(limits.Burst, 1) - 1); more < slowest/l.interval {
			l.ahead = more * l.interval
		}
		l.early = max(minTolerance, l.interval/10)
		l.catch = max(minCatch, 10*l.interval)

		l.window = max(minWindow, int64(math.Ceil(minQuota*l.interval.Seconds())))
		// what is as good as whole is
		l.quota = int64(float64(l.window)/l.interval.Seconds() + 1e-6)
		l.name = field(name)
		l.policy = append(l.policy, field(name, "q", l.quota, "w", l.window))
		l.whole = l.rateLimit(l.quota, l.window)
		l.tooFast = fmt.Sprintf("too many requests: at most %d in %d s, evenly spaced", l.quota, l.window)
	}
	if limits.InFlight > 0 {
		name += "-in-flight"
		l.policy = append(l.policy, field(name, "q", min(int64(limits.InFlight), maxInteger), "qu", "concurrent-requests"))
		l.none = field(name, "r", int64(0))
		l.tooMany = fmt.Sprintf("too many requests at once: at most %d", limits.InFlight)
	}
	return l
}

// rateLimit writes RateLimit: r requests left within t seconds.
func (l *rules) rateLimit(r, t int64) string {
	b := make([]byte, 0, 64)
	b = append(append(b, l.name...), ";r="...)
	b = append(strconv.AppendInt(b, r, 10), ";t="...)
	return string(strconv.AppendInt(b, t, 10))
}

// field writes a structured field (RFC 9651): a string with parameters, which
// are names and values in turn. The name has been checked.
func field(name string, params ...any) string {
	item := httpsfv.NewItem(name)
	for i := 0; i < len(params); i += 2 {
		item.Params.Add(params[i].(string), params[i+1])
	}
	s, _ := httpsfv.Marshal(item)
	return s
}

// enter admits a request of this key, or does not.
func (g *Gate) enter(key string) admission {
	now := g.now() // before the lock, which all callers share
	g.mu.Lock()
	defer g.mu.Unlock()
	a, l := g.accountLocked(key, now), &g.mu.rules
	debt := max(a.due-now, 0)
	switch {
	case a.inFlight >= l.inFlight:
		g.mu.stats.RefusedByInFlight++
		return admission{
			policy: l.policy,
			limit:  l.none,
			wait:   retryAfter(max(a.hold(now), debt-l.ahead)),
			text:   l.tooMany,
		}
	case l.interval > 0 && debt > l.ahead+l.early:
		g.mu.stats.RefusedByRate++
		wait := retryAfter(debt - l.ahead) // when it is not even early
		return admission{
			policy: l.policy,
			limit:  l.rateLimit(0, wait),
			wait:   wait,
			text:   l.tooFast,
		}
	}
	limit := l.whole
	if l.interval > 0 {
		a.due = now + debt + l.interval
		if early := debt - l.ahead; early > 0 {
			// about a hundredth at most
			less := math.Ceil(float64(l.quota) * early.Seconds() / l.catch.Seconds())
			limit = l.rateLimit(l.quota-int64(less), l.window)
		}
	}
	a.inFlight++
	a.began += now
	g.mu.stats.InFlight++
	g.mu.stats.Admitted++
	return admission{account: a, began: now, policy: l.policy, limit: limit}
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

// retryAfter is a wait in whole seconds, rounded up.
func retryAfter(d time.Duration) int64 {
	return max(int64((d+time.Second-1)/time.Second), 1)
}

// hold guesses how long a request is in flight. While the first ones are, what
// there is to go by is how long they have been.
func (a *account) hold(now time.Duration) time.Duration {
	n := time.Duration(a.inFlight)
	return min(max(a.held, (n*now-a.began)/n), maxHold)
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

// clearLocked forgets the accounts that are as good as new and, if these are too
// few, some that are not but have nothing in flight. It puts the next time off
// for so long that it costs little for each account made. It requires that mu is
// held.
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
