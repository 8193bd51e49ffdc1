package relay

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/hosts"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/prefer"
	"github.com/penstock/penstock/internal/problem"
	"github.com/penstock/penstock/internal/status"
)

// stranger returns why a request is not for the relay at all; nil if it may be.
func (r *Relay) stranger(req *http.Request) *problem.Document {
	switch {
	case req.Method == http.MethodConnect || req.URL.IsAbs() || req.URL.Host != "":
		return problem.Refusal(http.StatusBadRequest, status.NotAProxy)
	case req.Method == http.MethodTrace: // its answer would show the credentials that we add
		return problem.Refusal(http.StatusNotImplemented, status.NoTrace)
	case !r.hosts.Allow(req.Host):
		return problem.Refusal(http.StatusMisdirectedRequest, status.StrangeHost(req.Host))
	case hosts.Foreign(req):
		return problem.Refusal(http.StatusForbidden, status.ForeignPage)
	}
	return nil
}

// target returns where a request goes and the path that is left for it, or why it goes nowhere.
func (r *Relay) target(req *http.Request) (*target, *problem.Document) {
	if why := r.stranger(req); why != nil {
		return nil, why
	}
	switch {
	case req.Method == http.MethodOptions && req.Header.Get("Max-Forwards") == "0":
		return nil, problem.Refusal(http.StatusNotImplemented, status.NoForwards)
	case upgrades(req.Header):
		return nil, problem.Refusal(http.StatusNotImplemented, status.NoUpgrade)
	case !strings.HasPrefix(req.URL.Path, "/"):
		return nil, problem.Refusal(http.StatusBadRequest, status.NoPath)
	case leaves(req.URL.Path):
		return nil, problem.Refusal(http.StatusBadRequest, status.LeavesPath)
	case visits(req.Header) > 1:
		return nil, problem.Refusal(http.StatusLoopDetected, status.Loop)
	}
	if t := r.targets[""]; t != nil {
		return t, nil
	}
	name, _, _ := strings.Cut(req.URL.Path[1:], "/")
	if t := r.targets[name]; t != nil {
		return t, nil
	}
	return nil, problem.Refusal(http.StatusNotFound, status.NoSuchTarget(name, r.names()))
}

// visits returns how often a request has been through a relay. Once is no loop: a relay may send to
// another one.
func visits(h http.Header) (n int) {
	for _, line := range h["Via"] {
		for hop := range strings.SplitSeq(line, ",") {
			if f := strings.Fields(hop); len(f) > 1 && f[1] == viaName {
				n++
			}
		}
	}
	return n
}

// leaves reports whether a path has a segment .., also as servers see one that take a backslash for
// a slash, or that cut off what follows on a semicolon.
func leaves(path string) bool {
	if !strings.Contains(path, "..") {
		return false
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(path, `\`, "/"), "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == ".." {
			return true
		}
	}
	return false
}

// upgrades reports whether a request asks for another protocol on its connection. To be asked for
// HTTP/2 in clear text means nothing: it may be ignored (RFC 9113, section 3.1).
func upgrades(h http.Header) bool {
	for option := range strings.SplitSeq(strings.Join(h["Connection"], ","), ",") {
		if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
			return !strings.EqualFold(h.Get("Upgrade"), "h2c")
		}
	}
	return false
}

// grace is for a request that waits for nothing, but takes a moment to leave in its turn.
const grace = 100 * time.Millisecond

// A limit is how long a request may wait for its turn.
type limit struct {
	time.Duration
	preferred bool // by its client
}

// String returns the limit with where it is from.
func (l limit) String() string { return status.Patience(l.Duration, l.preferred) }

// patience returns how long a request may wait for its turn: as long as the relay lets, or as its
// client prefers (RFC 7240, section 4.3).
func (r *Relay) patience(h http.Header) limit {
	if value, ok := prefer.Get(h, "wait"); ok {
		n, err := strconv.ParseUint(value, 10, 31)
		if wait := max(time.Duration(n)*time.Second, grace); err == nil && wait < r.QueueWait {
			return limit{wait, true}
		}
	}
	return limit{r.QueueWait, false}
}

// An admission is below the cache: only what that does not have has to wait. What is set in all
// requests is set here, so that the cache does not take it for a client's own.
type admission struct {
	r    *Relay
	base http.RoundTripper
}

func (a admission) RoundTrip(req *http.Request) (*http.Response, error) {
	c := callOf(req.Context())
	if c != nil && !c.early {
		if why := a.r.admit(c, 0); why != nil {
			return nil, why
		}
	}
	kept := c != nil && c.body != nil
	if len(a.r.Header) > 0 || kept {
		req = req.Clone(req.Context())
		maps.Copy(req.Header, a.r.Header)
	}
	if kept { // ReverseProxy has a body of its own around it, which retry could not ask
		c.body.Set(req)
	}
	return a.base.RoundTrip(req)
}

// storable reports whether answers to a method may be stored.
func storable(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// estimate is the queue's, where a pause of which nobody knows the end is no such wait.
func (r *Relay) estimate(key, client string) time.Duration {
	wait := r.fair.Estimate(key, client)
	if wait >= status.Someday/2 {
		return -1
	}
	return wait
}

// admit returns why a request cannot be served in time; nil if it may be.
func (r *Relay) admit(c *call, size int64) *problem.Document {
	q := r.fair.Queue(c.target.key)
	wait := r.estimate(c.target.key, c.trace.Client)
	patience := time.Until(c.until)
	switch {
	case q.Waiting >= r.QueueRequests:
		return problem.Later(status.QueueFull(fmt.Sprintf("%d requests wait", q.Waiting)), wait)
	case size > 0 && q.Bytes+size > r.QueueBytes && q.Waiting > 0:
		return problem.Later(status.QueueFull("bodies of "+human.Size(q.Bytes)+" wait"), wait)
	case wait > patience:
		closed := r.closed(c.target.key, true)
		again := wait - patience
		if closed != "" {
			again = wait
		}
		return problem.Later(status.TooLate(wait, c.limit.String(), closed), again)
	}
	return nil
}
