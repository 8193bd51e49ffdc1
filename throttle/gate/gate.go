package gate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Gate is a middleware that serves, for each key, the requests that are within its limits, and
// refuses the others. The zero value has no limits and only counts.
//
// A Gate is safe for concurrent use. Its fields must not change once it has made a handler, and it
// must not be copied.
type Gate struct {
	// Limits are those of each key, unless LimitsFor is set, which returns them by key. It is
	// called for each request, so that what it returns may change while requests are served, and it
	// must be fast. On limits that are not valid the request panics; Validate checks those of a
	// Gate that has them in Limits.
	Limits    Limits
	LimitsFor func(key string) Limits

	// Key returns the key of the client that a request counts against. If nil, [RemoteKey]. See
	// also [ForwardedKey], or return the name of the user that a handler around the gate has
	// authenticated. Keys are in all events: for API keys, return a name or a hash.
	Key func(*http.Request) string

	// Weight, if not nil, returns how many tokens of the rate a request costs. A request of zero or
	// less is not limited by the rate. One that weighs more than the burst is admitted once its key
	// has the whole burst, and the next ones wait until the rest is refilled too. If nil, each
	// request costs one. In flight, each counts as one.
	Weight func(*http.Request) int

	// Skip, if not nil, reports whether a request passes without being counted, such as a health
	// check.
	Skip func(*http.Request) bool

	// Name is the name of the policies in RateLimit fields, in printable ASCII, which distinguishes
	// them from those of other gates that a request passes. If empty, "default".
	Name string

	// Status is that of refusals: 429 Too Many Requests or 503 Service Unavailable. If zero, 429,
	// which says that this client is too fast. Where all clients share one key, use 503: the server
	// is busy, whichever client asks.
	Status int

	// Refuse, if not nil, answers a refused request, for example with a problem document (RFC
	// 9457). Retry-After and the RateLimit fields are set. Unless it calls WriteHeader, the status
	// is that of the gate. If nil, the body is a line of text.
	Refuse func(http.ResponseWriter, *http.Request)

	// Observe, if not nil, is called with each decision, before the request is served or answered,
	// by the goroutine that serves it and without a lock. Requests that Skip passes are not
	// observed.
	Observe func(Event)

	once sync.Once
	base time.Time // origin of all instants below

	mu struct {
		sync.Mutex
		limits   Limits
		rules    *rules
		others   map[Limits]*rules // of LimitsFor
		accounts map[string]*account
		clearAt  int // how many accounts there are when they are next cleared up
		stats    Stats
	}
}

// Stats is a snapshot of a [Gate].
type Stats struct {
	Limits   Limits // in force; zero if LimitsFor is set
	InFlight int    // requests being served now
	Keys     int    // keys that are remembered, those with nothing in flight as well

	// Requests since the gate was made, without those skipped.
	Admitted, RefusedByRate, RefusedByInFlight int64
}

// Validate returns an error that names every field that is not valid, with its value.
func (g *Gate) Validate() error {
	err := g.Limits.validate()
	switch g.Status {
	case 0, http.StatusTooManyRequests, http.StatusServiceUnavailable:
	default:
		err = errors.Join(err,
			fmt.Errorf("gate: Gate.Status is %d, want 429, 503, or 0 for 429", g.Status))
	}
	if strings.ContainsFunc(g.Name, func(c rune) bool { return c < ' ' || c > '~' }) {
		err = errors.Join(err, fmt.Errorf("gate: Gate.Name is %q, want printable ASCII", g.Name))
	}
	return err
}

// Handler returns a handler that passes to next what the gate admits, with the server's own
// ResponseWriter. It panics if the gate's fields are not valid, as [http.ServeMux.Handle] does with
// a pattern: a program with such a gate should not begin to serve. [Gate.Validate] checks fields
// that come from a configuration.
func (g *Gate) Handler(next http.Handler) http.Handler {
	if err := g.Validate(); err != nil {
		panic(err)
	}
	g.once.Do(g.init)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.Skip != nil && g.Skip(r) {
			next.ServeHTTP(w, r)
			return
		}
		key, weight := g.key(r), 1
		if g.Weight != nil {
			weight = g.Weight(r)
		}
		a := g.enter(key, weight)
		if a.account != nil {
			defer g.leave(a.account, a.began)
		}
		// Added, not set: a request may pass several gates.
		h := w.Header()
		if policy := a.rules.policy; len(policy) > 0 {
			h["Ratelimit-Policy"] = append(h["Ratelimit-Policy"], policy...)
		}
		if a.limit != "" {
			h["Ratelimit"] = append(h["Ratelimit"], a.limit)
		}
		if g.Observe != nil {
			wait := time.Duration(a.wait) * time.Second
			g.Observe(Event{Kind: a.kind, Key: key, Weight: weight, RetryAfter: wait, Request: r})
		}
		if a.account == nil {
			g.refuse(w, r, &a)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, a *admission) {
	status := g.Status
	if status == 0 {
		status = http.StatusTooManyRequests
	}
	w.Header().Set("Retry-After", strconv.FormatInt(a.wait, 10))
	if g.Refuse == nil {
		text := a.rules.text[a.kind]
		http.Error(w, fmt.Sprintf("%s; try again in %d s", text, a.wait), status)
		return
	}
	answer := &refusal{ResponseWriter: w, status: status}
	g.Refuse(answer, r)
	_, _ = answer.Write(nil)
}

// A refusal is a ResponseWriter with a status of its own. It does not unwrap, for to flush the one
// below would write 200.
type refusal struct {
	http.ResponseWriter
	status  int
	written bool
}

func (w *refusal) WriteHeader(status int) {
	w.written = w.written || status >= 200
	w.ResponseWriter.WriteHeader(status)
}

func (w *refusal) Write(p []byte) (int, error) {
	if !w.written {
		w.WriteHeader(w.status)
	}
	return w.ResponseWriter.Write(p)
}

// SetLimits sets the limits for requests to come. It changes nothing and returns an error if they
// are not valid, or if LimitsFor is set, which decides alone. The tokens that a key has used are
// still used; requests in flight stay so, even if they are now too many.
func (g *Gate) SetLimits(limits Limits) error {
	g.once.Do(g.init)
	if g.LimitsFor != nil {
		return errors.New("gate: limits not set: LimitsFor returns those of each key")
	}
	if err := limits.validate(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.mu.limits, g.mu.rules = limits, newRules(g.Name, limits)
	for _, a := range g.mu.accounts {
		a.follow(g.mu.rules, now)
	}
	return nil
}

// Stats returns a snapshot.
func (g *Gate) Stats() Stats {
	g.once.Do(g.init)
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.mu.stats
	if s.Keys = len(g.mu.accounts); g.LimitsFor == nil {
		s.Limits = g.mu.limits
	}
	return s
}

func (g *Gate) init() {
	g.base = time.Now()
	g.mu.accounts = make(map[string]*account)
	g.mu.others = make(map[Limits]*rules)
	g.mu.clearAt = fewAccounts
	g.mu.limits, g.mu.rules = g.Limits, newRules(g.Name, g.Limits)
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
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(key)))
}
