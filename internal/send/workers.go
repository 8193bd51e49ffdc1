package send

import (
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

// grow adds workers to the pool until one of them always waits for its turn, as long as there is
// work for them. Further workers stand in for those that can do nothing for now because their file
// waits for its next attempt or their server takes nothing.
func (r *run) grow(v upstream.Overview) {
	if r.Workers > 0 || r.pool.Stats().Queued == 0 {
		return
	}
	r.mu.Lock()
	backoff := r.backoff
	r.mu.Unlock()
	refusing, further := r.servers.IsRefusing()
	if refusing {
		// A server that takes nothing needs only the workers that find out when it does.
		backoff = min(backoff, upstream.Probers)
	}
	if v.Parked == 0 {
		r.standIns = 0
	}
	late := v.Unclaimed > r.unclaimed || v.Waiting == v.Parked
	r.unclaimed = v.Unclaimed
	more := (r.grown+r.standIns)/2 + 1
	switch {
	case r.grew:
		r.grew = false // tokens that were late before the new workers came say nothing of them
	case !late || v.Holding == throttle.ByBandwidth:
	case v.Parked > 0:
		r.standIns += more
		r.grew = true
	case !refusing:
		r.grown += more
		r.grew = true
	}
	most := maxWorkers
	if r.Limits.InFlight > 0 {
		most = min(most, r.Limits.InFlight)
	}
	r.grown = min(r.grown, most)
	r.standIns = min(max(r.standIns, v.Parked), maxWorkers)
	r.pool.Resize(min(r.grown+backoff+further+r.standIns, maxWorkers))
}
