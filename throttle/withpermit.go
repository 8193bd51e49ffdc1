package throttle

import (
	"context"
	"time"
)

// WithPermit returns a context with a permit that a request takes along. A [Transport] that sends a
// request with this context to the permit's upstream, one of [Transport.Upstream], uses the permit
// instead of waiting for one: the request leaves at once, whatever its Weight and the Transport's
// MaxQueue. It is for programs that have something to do between the turn and the sending, such as
// to sign the request, or to choose which of several is sent:
//
//	permit, err := transport.Upstream(key).Acquire(ctx, 1)
//	if err != nil {
//		return err
//	}
//	defer permit.Release() // in case it was not used
//	req, err := sign(ctx)
//	if err != nil {
//		return err
//	}
//	resp, err := client.Do(req.WithContext(throttle.WithPermit(ctx, permit)))
//
// A permit is used once. Redirects, retries, and other requests with the same context wait for
// permits of their own. So does a request to another upstream; [Transport.KeyOf] says which one a
// request belongs to. A context may have several permits of several upstreams.
//
// From its use on the permit belongs to the request: it ends with it, and the request's answer is
// its [Feedback]. The caller's Release, Done and Progress then do nothing. A permit that was not
// used is still in flight, and the caller must release it: one whose request failed before it was
// sent, or went elsewhere. To call Release in any case, once the request has returned, is right.
//
// A request whose context has ended fails as if it had waited, and does not use the permit. One
// whose connection is made when a cool-down has begun since waits for its end, as any other does.
func WithPermit(ctx context.Context, p *Permit) context.Context {
	return &permitContext{ctx, p}
}

// A permitContext has its permit under a key of its upstream. So one for an inner Transport does
// not hide one for an outer.
type permitContext struct {
	context.Context
	permit *Permit
}

type permitKey struct{ upstream *Upstream }

func (c *permitContext) Value(key any) any {
	if k, ok := key.(permitKey); ok && k.upstream == c.permit.upstream && !c.permit.ended.Load() {
		return c.permit
	}
	return c.Context.Value(key)
}

// given makes p the permit that ctx has for this upstream. It reports false if there is none.
func (u *Upstream) given(ctx context.Context, p *Permit) bool {
	for {
		g, ok := ctx.Value(permitKey{u}).(*Permit)
		if !ok || expired(ctx, time.Now()) {
			return false
		}
		if g.moveTo(p) {
			return true
		}
		// Another request was faster, and there may be a second one.
	}
}

// moveTo makes to the permit, and ends p without a word to the upstream. It reports false if p has
// ended.
func (p *Permit) moveTo(to *Permit) bool {
	if p.ended.Swap(true) {
		return false
	}
	u := p.upstream
	u.mu.Lock() // since a Progress of p may be under way
	p.told.Store(true)
	u.mu.Unlock()
	to.upstream, to.token, to.ticket = u, p.token, p.ticket
	to.wait, to.waited = p.wait, p.waited
	return true
}
