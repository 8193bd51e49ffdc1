package model

import (
	"context"
	"sync/atomic"
	"time"
)

// An Outage refuses every connection from an instant on, so long after it was made, for a while.
type Outage struct {
	// Status, if not zero, is what a gateway before the server answers meanwhile, instead of
	// refusing connections.
	Status int

	after, length time.Duration
	epoch         time.Time
	before, then  Model
	life          context.Context // of before
}

// NewOutage returns a server that is down for that length. What is in flight when it goes down
// finishes, or with kill is lost, as all that the server knew: then it comes back as a new one.
func NewOutage(after, length time.Duration, kill bool, server func() Model) *Outage {
	o := &Outage{after: after, length: length, epoch: time.Now(), before: server(),
		life: context.Background()}
	o.then = o.before
	if kill {
		life, cancel := context.WithCancel(o.life)
		o.life = life
		time.AfterFunc(after, cancel)
		o.then = server()
	}
	return o
}

// Serve passes the request on while the server is there. It does not look at ctx but while it is
// down for good.
func (o *Outage) Serve(ctx context.Context, r Request) Answer {
	switch t := time.Since(o.epoch); {
	case t < o.after:
		if a := o.before.Serve(o.life, r); a.Status != 0 {
			return a
		}
		return o.refusal()
	case t < o.after+o.length:
		return o.refusal()
	}
	return o.then.Serve(ctx, r)
}

func (o *Outage) refusal() Answer {
	if o.Status == 0 {
		return Answer{}
	}
	return refusal(o.Status)
}

// A Hang is a server that for a while says nothing: what comes then begins when it is over, and
// what was under way is answered then.
type Hang struct {
	Model
	begin, end time.Time
}

// NewHang returns a server that hangs so long after now, for that length.
func NewHang(after, length time.Duration, server Model) *Hang {
	begin := time.Now().Add(after)
	return &Hang{server, begin, begin.Add(length)}
}

// Serve passes the request on.
func (h *Hang) Serve(ctx context.Context, r Request) Answer {
	if !h.wait(ctx) {
		return Answer{}
	}
	r.At = time.Time{}
	a := h.Model.Serve(ctx, r)
	if !h.wait(ctx) {
		return Answer{}
	}
	return a
}

func (h *Hang) wait(ctx context.Context) bool {
	if now := time.Now(); now.Before(h.begin) || !now.Before(h.end) {
		return true
	}
	return sleep(ctx, time.Until(h.end))
}

// A SlowConnect makes connections wait while more than so many requests are in flight, as a full
// listen queue does whose client repeats its SYN.
type SlowConnect struct {
	Model
	Above int
	Delay time.Duration

	inFlight atomic.Int64
}

// Serve passes the request on.
func (s *SlowConnect) Serve(ctx context.Context, r Request) Answer {
	defer s.inFlight.Add(-1)
	if s.inFlight.Add(1) <= int64(s.Above) {
		return s.Model.Serve(ctx, r)
	}
	if !sleep(ctx, s.Delay) {
		return Answer{}
	}
	r.At = time.Time{}
	a := s.Model.Serve(ctx, r)
	a.Connect = s.Delay
	return a
}
