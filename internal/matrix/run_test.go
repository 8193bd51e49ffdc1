package matrix

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/lab/model"
	"github.com/penstock/penstock/throttle"
)

const (
	roundTrip = time.Millisecond // of every request, give or take a half
	maxLimit  = 256              // of the limit that is found
)

// A run is a cell with a seed.
type run struct {
	cell    *cell
	seed    uint64
	start   time.Time
	model   model.Model
	link    *model.Shared // ours; if nil, without limit
	taken   atomic.Int64
	clients []*client

	mu    sync.Mutex
	rnd   *rand.Rand
	count int64   // of requests that are judged
	sizes []int64 // drawn beforehand
	done  int     // items accepted, where their number is given
	end   time.Time

	over  chan struct{} // closed when it floods, or all items are accepted
	close sync.Once     // closes over
}

// simulate runs a cell in a bubble of its own.
func simulate(t *testing.T, c *cell, seed uint64) *run {
	r := &run{cell: c, seed: seed}
	synctest.Test(t, func(t *testing.T) {
		r.rnd = rand.New(rand.NewPCG(seed, 1))
		r.over = make(chan struct{})
		// Where in its windows, and in those of the wall clock, the run starts. By the second, so
		// that windows end where the seconds of the tally do.
		if !c.onGrid {
			time.Sleep(time.Duration(r.rnd.IntN(60)) * time.Second)
		}
		r.start = time.Now()
		r.model = c.model(seed)
		if c.link > 0 {
			r.link = model.NewShared(c.link/c.fastest(), nil)
		}
		for i, start := range c.starts() {
			client := &client{run: r, start: start, judged: !c.neighbour(i)}
			client.tally = tally{run: r, seconds: make([]second, horizon/time.Second)}
			r.clients = append(r.clients, client)
		}
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		r.watch(func(i int) {
			client := r.clients[i]
			client.pacer = c.pacer(i) // which is born when it begins
			ctx, cancel := context.WithCancel(ctx)
			client.kill = cancel
			for range workers {
				wg.Go(func() { client.work(ctx) })
			}
		})
		cancel()
		wg.Wait()
	})
	return r
}

// watch begins each client at its second, and looks at all of them at the end of every second,
// until that of the run.
func (r *run) watch(begin func(i int)) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for s := range int(horizon / time.Second) {
		for i, c := range r.clients {
			if c.start == time.Duration(s)*time.Second {
				begin(i)
			}
		}
		if t := time.Duration(s) * time.Second; t > 0 && t == r.cell.leaves {
			r.clients[0].kill()
		}
		timer.Reset(time.Until(r.start.Add(time.Duration(s+1) * time.Second)))
		select {
		case <-timer.C:
		case <-r.over:
			return
		}
		if r.cell.tells {
			r.tell(s)
		}
		for _, c := range r.clients {
			if c.pacer != nil {
				state := c.pacer.state()
				c.tally.mu.Lock()
				c.tally.seconds[s].state = state
				c.tally.mu.Unlock()
			}
		}
	}
}

// tell has all clients know what each of them has found, as a database would, and one at a time
// look for more.
func (r *run) tell(second int) {
	var sum float64
	var n int
	for _, c := range r.clients {
		if rate := c.pacer.state().rate; rate > 0 {
			sum += rate
			n++
		}
	}
	if n == 0 {
		return
	}
	mean := sum / float64(n)
	for i, c := range r.clients {
		seeks := i == second/20%len(r.clients)
		if has := c.pacer.state().rate; !seeks || has < .95*mean {
			c.pacer.(ours).Expect(rate.Limit(mean))
		}
	}
}

// take reports whether there is one more item to send.
func (r *run) take() bool {
	return r.cell.items == 0 || r.taken.Add(1) <= int64(r.cell.items)
}

// accepted counts an item, of a given number of them.
func (r *run) accepted(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done++; r.done == r.cell.items {
		r.end = now
		r.stop()
	}
}

// arrive counts a request.
func (r *run) arrive(judged bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if judged {
		r.count++
		if float64(r.count) == r.cell.flood() {
			r.stop()
		}
	}
}

func (r *run) stop() { r.close.Do(func() { close(r.over) }) }

// size returns the size of the next item.
func (r *run) size() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cell.mix == nil {
		return 0
	}
	if len(r.sizes) == 0 {
		// In blocks, so that each run has the same sizes but for their order.
		mix := r.cell.mix(time.Since(r.start))
		for range 4 {
			r.sizes = append(r.sizes, mix...)
		}
		if len(mix) > 1 {
			r.rnd.Shuffle(len(r.sizes), reflect.Swapper(r.sizes))
		}
	}
	size := r.sizes[0]
	r.sizes = r.sizes[1:]
	return size
}

// upload sends a body, and returns how long that took. Meanwhile it calls progress with the bytes
// that were acknowledged so far.
func (r *run) upload(bytes int64, progress func(acked int64)) time.Duration {
	begin, fastest := time.Now(), r.cell.fastest()
	if fastest == 0 {
		progress(bytes)
		return 0
	}
	step := max(64<<10, int64(fastest/10)) // bytes
	for sent := int64(0); sent < bytes; {
		n := min(step, bytes-sent)
		sent += n
		if r.link != nil {
			r.link.Do(transfer(n, fastest))
		} else {
			time.Sleep(time.Until(begin.Add(transfer(sent, fastest))))
		}
		progress(sent)
	}
	return time.Since(begin)
}

func transfer(bytes int64, bandwidth float64) time.Duration {
	return time.Duration(float64(bytes) / bandwidth * float64(time.Second))
}

// serve brings a request to the server and back. It returns false where our timeout came first.
func (r *run) serve(ctx context.Context, req model.Request) (model.Answer, bool) {
	if r.cell.timeout == 0 {
		return r.answer(req), true
	}
	answer := make(chan model.Answer, 1)
	go func() { answer <- r.answer(req) }() // which does not see that we have gone
	timer := time.NewTimer(r.cell.timeout)
	defer timer.Stop()
	select {
	case a := <-answer:
		return a, true
	case <-timer.C:
		return model.Answer{}, false
	}
}

// answer goes the whole round trip before the server sees the request. That makes every arrival an
// instant of its own, and thus the run the same every time: at one instant, goroutines come in any
// order.
func (r *run) answer(req model.Request) model.Answer {
	trip := roundTrip
	if r.cell.jitter > 0 {
		trip = r.cell.jitter
	}
	r.travel(trip)
	a := r.model.Serve(context.Background(), req)
	if a.Status != http.StatusCreated && r.cell.refusalTrip > 0 {
		r.travel(r.cell.refusalTrip)
	}
	return a
}

func (r *run) travel(trip time.Duration) {
	r.mu.Lock()
	trip = time.Duration(float64(trip) * (0.5 + r.rnd.Float64()))
	r.mu.Unlock()
	time.Sleep(trip)
}

// weight is how many requests of mean work an answer stands for.
func (r *run) weight(a model.Answer) float64 {
	if r.cell.mean == 0 {
		return 1
	}
	return float64(a.Work) / float64(r.cell.mean)
}

// measures of a run; see columns.
type measures struct {
	goodput, waste, first20, first60, p99, jain, share float64
	after20, minute, stray, inFlight, time             float64
	start, change                                      float64
	dead, early, above, largest                        float64
	end, sent, timedOut                                float64
	flooded                                            bool
}

func (r *run) measure() (m measures) {
	c := r.cell
	seconds := int(horizon / time.Second)
	total := make([]float64, seconds) // goodput
	var judged []*client
	var latencies []float32
	sent, refused := 0, 0
	for _, client := range r.clients {
		for s, second := range client.tally.seconds {
			total[s] += second.goodput
		}
		if !client.judged {
			continue
		}
		judged = append(judged, client)
		latencies = append(latencies, client.tally.latencies...)
		m.early += float64(client.tally.early)
		m.above += float64(client.tally.above)
		last, n := 0, 0
		for s, second := range client.tally.seconds {
			sent += second.sent
			refused += second.refused()
			m.timedOut += float64(second.timedOut)
			m.largest = max(m.largest, float64(second.state.limit))
			if from, to := c.outage(); s >= from && s < to {
				m.dead += float64(second.sent)
			}
			if s >= 20 {
				m.inFlight += float64(second.state.inFlight) / float64(seconds-20)
			}
			if s >= seconds-60 && second.state.limit > 0 {
				last += second.state.limit
				n++
			}
		}
		m.end += float64(last) / float64(max(n, 1)) / float64(len(r.clients))
		if m.largest == 0 {
			m.largest = float64(client.tally.maxInFlight)
		}
	}
	deliverable := c.deliverable(total, int(r.start.Unix()))

	m.sent = float64(sent)
	m.waste = ratio(float64(refused), float64(sent))
	m.goodput = share(total, c.capacities(), 0, seconds)
	m.first20 = share(total, c.capacities(), 0, 20)
	m.first60 = share(total, c.capacities(), 0, 60)
	m.after20 = share(total, c.capacities(), 20, seconds)
	m.minute = share(total, c.capacities(), 20, 80)
	if s, ok := r.model.(*stray); ok && !s.last.IsZero() {
		from := int(math.Ceil(s.last.Sub(r.start).Seconds()))
		m.stray = share(total, c.capacities(), from, from+20)
	}
	if c.items > 0 {
		m.time = math.Inf(1)
		if !r.end.IsZero() {
			m.time = r.end.Sub(r.start).Seconds() / c.best.Seconds()
		}
	}
	m.start = converged(total, deliverable, 0)
	for _, at := range c.changes() {
		m.change = max(m.change, converged(total, deliverable, at))
	}
	if slices.Sort(latencies); len(latencies) > 0 {
		m.p99 = float64(latencies[len(latencies)*99/100])
	}
	together := r.clients[len(r.clients)-1].start + time.Minute
	goodputs := make([]float64, len(judged))
	var sum float64
	for i, client := range judged {
		for _, second := range client.tally.seconds[together/time.Second:] {
			goodputs[i] += second.goodput
		}
		sum += goodputs[i]
	}
	m.jain = jain(goodputs)
	var fair float64
	for _, can := range c.capacities()[together/time.Second:] {
		fair += can * float64(len(judged)) / float64(len(r.clients))
	}
	m.share = ratio(sum, fair)
	m.flooded = float64(r.count) >= c.flood()
	return m
}

// jain is Jain's index of fairness: 1 where all have the same.
func jain(x []float64) float64 {
	var sum, squares float64
	for _, x := range x {
		sum += x
		squares += x * x
	}
	return ratio(sum*sum, squares*float64(len(x)))
}

// converged returns after how many seconds from the given one the goodput is there to stay: the
// first second from which it is at least 0.9 of what was deliverable in each of five spans of 10 s
// that begin 5 s apart. A dip later on is not failed convergence; the goodput of the whole run
// says so. A run that never converges has the seconds left.
func converged(goodput, deliverable []float64, from int) float64 {
	good := func(s int) bool { return share(goodput, deliverable, s, s+10) >= 0.9 }
	for s := from; s+30 <= len(goodput); s++ {
		if good(s) && good(s+5) && good(s+10) && good(s+15) && good(s+20) {
			return float64(s - from)
		}
	}
	return float64(len(goodput) - from)
}

// share is the sum of one part of the sum of the other, in the seconds from up to and without to; 1
// where nothing was deliverable.
func share(x, of []float64, from, to int) float64 {
	var a, b float64
	for s := from; s < min(to, len(x)); s++ {
		a += x[s]
		b += of[s]
	}
	if b == 0 {
		return 1
	}
	return a / b
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// newOurs is the pacer that is judged.
func newOurs(limits throttle.Limits) pacer { return ours{throttle.NewUpstream(limits)} }
