package matrix

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/penstock/penstock/internal/lab/model"
	"github.com/penstock/penstock/throttle"
)

// A cell is a server and its clients, and what is expected of them.
type cell struct {
	name  string
	about string
	model server

	// What the server can do: requests a second, times the factor; nothing in the outage. Of a
	// token bucket that is its rate: what it holds at the beginning comes on top.
	capacity float64
	factor   model.Schedule
	out      [2]time.Duration // an outage: from, to

	// With a quota in windows, nothing is deliverable once the window is used up.
	windowN int
	window  time.Duration

	// mean is the mean work of a request, where that varies: goodput then counts work, not
	// requests, or luck would decide.
	mean time.Duration

	limits    throttle.Limits
	timeout   time.Duration               // our own; 0: none
	clients   int                         // 0: one
	apart     time.Duration               // from the start of one client to that of the next
	tells     bool                        // each second, what each client has found
	leaves    time.Duration               // the first client is killed then; 0: never
	neighbors func(i int) pacer           // others than ours; nil for those that are
	onGrid    bool                        // start at a full minute of the wall clock
	mix       func(time.Duration) []int64 // sizes at that time of the run, each as often
	// bytes a second, of each upload and of all together; 0: no limit
	connection, link float64
	items            int // how many there are to send; 0: no end
	// the time that the best fixed limit takes for them
	best time.Duration
	// round trip, give or take a half; 0: a millisecond
	jitter time.Duration
	// round trip of what is not accepted; 0: as the others
	refusalTrip time.Duration

	goals measures // the bounds of the columns; zero is none
	short measures // of goals that are not reached: what is, and must not get worse
}

// nothing is a goal of zero.
const nothing = 1e-9

const (
	third = horizon / 3
	mib   = 1 << 20
)

var (
	steps  = model.Steps(third, 1, 0.5, 2)
	tenant = model.Alternate(time.Minute, 0.5)
	outage = [2]time.Duration{horizon/2 - 30*time.Second, horizon/2 + 30*time.Second}
)

// A server makes the model of a run with that seed.
type server = func(seed uint64) model.Model

func threadsOf(t model.Threads) server {
	return func(seed uint64) model.Model {
		t := t
		t.Seed = seed
		return model.NewThreads(t)
	}
}

func threads(workers, backlog int, service time.Duration) server {
	return threadsOf(model.Threads{Workers: workers, Backlog: backlog, Service: service})
}

func cpuOf(c model.CPU) server {
	return func(seed uint64) model.Model {
		c := c
		c.Seed, c.Timeout = seed, 29*time.Second // of the gateway
		return model.NewCPU(c)
	}
}

func cpu(cores float64, work time.Duration, factor model.Schedule) server {
	return cpuOf(model.CPU{Cores: cores, Work: work, Factor: factor})
}

// service is that of a quota's requests: long beside the round trip of a refusal.
const service = 100 * time.Millisecond

func quotaOf(q model.Quotas) server {
	return func(uint64) model.Model { return model.NewQuota(q) }
}

func bucket(rate float64, burst int, retryAfter bool, factor model.Schedule) server {
	return quotaOf(model.Quotas{Rate: rate, N: burst, RetryAfter: retryAfter, Factor: factor,
		Service: service})
}

func window(n int, span time.Duration, headers bool) server {
	return quotaOf(model.Quotas{N: n, Window: span, RetryAfter: true, Headers: headers,
		Service: service})
}

func sliding(n int, countRefused bool) server {
	return quotaOf(model.Quotas{N: n, Window: time.Second, Sliding: true,
		CountRefused: countRefused, Service: service})
}

// limiter is a bucket as nginx has it: it answers within a millisecond, and refuses with a status
// of its own.
func limiter(rate float64, burst, status int, retryAfter bool) server {
	return quotaOf(model.Quotas{Rate: rate, N: burst, Refusal: status, RetryAfter: retryAfter,
		Service: time.Millisecond})
}

// quota is one that takes no time, to stand before another server.
func quota(rate float64, burst int) server {
	return quotaOf(model.Quotas{Rate: rate, N: burst, RetryAfter: true})
}

// before is a quota before a server.
func before(quota, behind server) server {
	return func(seed uint64) model.Model { return both{quota(seed), behind(seed)} }
}

// down is down by a status of the gateway before it; by 0 connections are refused.
func down(status int, kill bool, behind server) server {
	return func(seed uint64) model.Model {
		o := model.NewOutage(outage[0], outage[1]-outage[0], kill,
			func() model.Model { return behind(seed) })
		o.Status = status
		return o
	}
}

// straying refuses single requests of those to a server.
func straying(behind server, status, retryAfter int, due func(seed uint64) due) server {
	return func(seed uint64) model.Model {
		return &stray{Model: behind(seed), due: due(seed), start: time.Now(),
			answer: model.Answer{Status: status, RetryAfter: retryAfter}}
	}
}

// fast is a server for which transfers are all that takes time.
var fast = threads(maxLimit, 0, 5*time.Millisecond)

// always is one size. It is there twice, for a change of sizes is expected of a single one.
func always(bytes int64) func(time.Duration) []int64 {
	return func(time.Duration) []int64 { return []int64{bytes, bytes} }
}

// growing are sizes from 4 KiB to 1 GiB.
func growing(time.Duration) (sizes []int64) {
	for size := int64(4 << 10); size <= 1<<30; size *= 4 {
		sizes = append(sizes, size)
	}
	return sizes
}

// switching is small, then large, then small.
func switching(t time.Duration) []int64 {
	if t/third == 1 {
		return []int64{4 << 20}
	}
	return []int64{4 << 10}
}

// mixing has two large ones for a small one: 2.67 MiB in the mean.
func mixing(time.Duration) []int64 { return []int64{4 << 10, 4 << 20, 4 << 20} }

var cells = []cell{
	{name: "M1", about: "5 threads x 1 s, backlog 20", model: threads(5, 20, time.Second),
		capacity: 5,
		goals:    measures{goodput: .97, waste: .01, start: 10, first20: .85, first60: .94}},
	{name: "M1z", about: "5 threads x 1 s, no backlog", model: threads(5, 0, time.Second),
		capacity: 5,
		goals:    measures{goodput: .97, waste: .01, start: 10},
		// One seed of five, in which slow start is refused twice.
		short: measures{start: 14}},
	{name: "M2", about: "4 cores, 2 s of CPU, 504 at 29 s", model: cpu(4, 2*time.Second, nil),
		capacity: 2,
		goals: measures{goodput: .97, waste: .01, start: 10, first20: .85, first60: .94,
			p99: 9}},
	{name: "M2b", about: "32 cores, 0.5 s of CPU", model: cpu(32, time.Second/2, nil), capacity: 64,
		goals: measures{goodput: .97, waste: .01, start: 10}},
	{name: "M3", about: "bucket 10/s, burst 10, Retry-After", model: bucket(10, 10, true, nil),
		capacity: 10,
		goals:    measures{goodput: .97, waste: .01, start: 10, first20: .85, first60: .94}},
	{name: "M3w", about: "window 100 in 10 s, Retry-After",
		model: window(100, 10*time.Second, false), capacity: 10,
		windowN: 100, window: 10 * time.Second,
		goals: measures{goodput: .97, waste: .01, start: 10}},
	{name: "M3h", about: "the same with quota headers", model: window(100, 10*time.Second, true),
		capacity: 10,
		windowN:  100, window: 10 * time.Second,
		goals: measures{goodput: .97, waste: nothing, start: 10}},
	{name: "M4", about: "M2 with x1, x0.5, x2 of the cores", model: cpu(4, 2*time.Second, steps),
		capacity: 2, factor: steps,
		goals: measures{goodput: .97, waste: .01, start: 10, change: 15}},
	{name: "M4r", about: "M3 with x1, x0.5, x2 of the rate", model: bucket(10, 10, true, steps),
		capacity: 10, factor: steps,
		goals: measures{goodput: .95, waste: .01, start: 10, change: 15}},
	{name: "M5", about: "8 cores, 1 s of CPU, half taken every other minute",
		model: cpu(8, time.Second, tenant), capacity: 8, factor: tenant,
		goals: measures{goodput: .97, waste: .01, start: 10, change: 15}},
	{name: "M6", about: "16 threads, log-normal sigma 1.5, mean 1 s, backlog 64",
		model: threadsOf(model.Threads{Workers: 16, Backlog: 64, Service: time.Second,
			Sigma: 1.5}),
		capacity: 16, mean: time.Second,
		goals: measures{goodput: .95, waste: .01, start: 10},
		// Two seeds of five: with such a tail the goodput of 10 s is much luck.
		short: measures{start: 19}},

	{name: "F1", about: "4 clients 30 s apart on 20 threads x 1 s, backlog 20",
		model: threads(20, 20, time.Second), capacity: 20,
		clients: 4, apart: 30 * time.Second, onGrid: true, goals: measures{jain: .95, waste: .012}},
	{name: "F2", about: "4 clients 30 s apart on M2b", model: cpu(32, time.Second/2, nil),
		capacity: 64,
		clients:  4, apart: 30 * time.Second, onGrid: true,
		goals: measures{jain: .95, waste: .012}},
	{name: "F3", about: "4 clients 30 s apart on a bucket 40/s, burst 40",
		model: bucket(40, 40, true, nil), capacity: 40,
		clients: 4, apart: 30 * time.Second, onGrid: true, goals: measures{jain: .95, waste: .012},
		// Each of the four looks for more on its own.
		short: measures{waste: .0138, jain: .94}},
	{name: "F1s", about: "the same 37 s apart", model: threads(20, 20, time.Second), capacity: 20,
		clients: 4, apart: 37 * time.Second, onGrid: true, goals: measures{jain: .95, waste: .012},
		// Two seeds of five: as one comes, the others are refused for its growth.
		short: measures{waste: .0135, jain: .94}},
	{name: "F2s", about: "the same 37 s apart", model: cpu(32, time.Second/2, nil), capacity: 64,
		clients: 4, apart: 37 * time.Second, onGrid: true, goals: measures{jain: .95, waste: .012}},
	{name: "F3s", about: "the same 37 s apart", model: bucket(40, 40, true, nil), capacity: 40,
		clients: 4, apart: 37 * time.Second, onGrid: true, goals: measures{jain: .95, waste: .012},
		// As F3.
		short: measures{waste: .0135, jain: .94}},

	// Many at once that find a quota without a word between them.
	{name: "F4", about: "4 clients at once on a bucket 40/s, burst 40",
		model: bucket(40, 40, true, nil), capacity: 40, clients: 4,
		goals: measures{after20: .95, jain: .95, waste: .015}},
	{name: "F4h", about: "4 clients at once on a window 400 in 10 s, with quota headers",
		model: window(400, 10*time.Second, true), capacity: 40, clients: 4,
		windowN: 400, window: 10 * time.Second,
		goals: measures{after20: .95, jain: .95, waste: .005}},
	{name: "F4k", about: "F4, and one is killed",
		model: bucket(40, 40, true, nil), capacity: 40, clients: 4, leaves: horizon / 2,
		goals: measures{after20: .95, waste: .015, change: 30}},
	{name: "F4hk", about: "F4h, and one is killed",
		model: window(400, 10*time.Second, true), capacity: 40, clients: 4, leaves: horizon / 2,
		windowN: 400, window: 10 * time.Second,
		goals: measures{after20: .95, waste: .005, change: 30}},
	{name: "F10", about: "10 clients at once on a bucket 100/s, burst 100",
		model: bucket(100, 100, true, nil), capacity: 100, clients: 10,
		goals: measures{after20: .93, jain: .93, waste: .02}},
	{name: "F10m", about: "10 clients at once on a bucket 1,000/s, burst 1,000",
		model: bucket(1000, 1000, true, nil), capacity: 1000, clients: 10,
		goals: measures{after20: .93, jain: .93, waste: .02},
		// One seed of five: a root of 10/s more or less takes long to even out.
		short: measures{jain: .92}},
	// The same, and they tell each other what they have found.
	{name: "F4t", about: "F4, and each second clients tell what they have found",
		model: bucket(40, 40, true, nil), capacity: 40, clients: 4, tells: true,
		goals: measures{after20: .95, jain: .99, waste: .0125}},
	{name: "F10t", about: "F10, and each second clients tell what they have found",
		model: bucket(100, 100, true, nil), capacity: 100, clients: 10, tells: true,
		goals: measures{after20: .95, jain: .99, waste: .012}},
	{name: "F4bt", about: "4 clients that tell, on a bucket 200/s, burst 20",
		model: bucket(200, 20, true, nil), capacity: 200, clients: 4, tells: true,
		goals: measures{after20: .95, jain: .99, waste: .005}},
	{name: "F4bnt", about: "the same without Retry-After",
		model: bucket(200, 20, false, nil), capacity: 200, clients: 4, tells: true,
		goals: measures{after20: .95, jain: .99, waste: .005}},
	{name: "F4rt", about: "F4t with x1, x0.5, x2 of the rate",
		model: bucket(40, 40, true, steps), capacity: 40, factor: steps, clients: 4, tells: true,
		goals: measures{goodput: .95, jain: .99, waste: .015, change: 20}},
	{name: "F10w", about: "10 clients at once on a window 1,000 in 10 s, Retry-After",
		model: window(1000, 10*time.Second, false), capacity: 100, clients: 10,
		windowN: 1000, window: 10 * time.Second,
		goals: measures{after20: .93, jain: .93, waste: .02}},
	{name: "F10h", about: "the same with quota headers",
		model: window(1000, 10*time.Second, true), capacity: 100, clients: 10,
		windowN: 1000, window: 10 * time.Second,
		goals: measures{after20: .93, jain: .93, waste: .005}},
	{name: "F10n", about: "10 clients at once on a window 100 in a minute, with quota headers",
		model: window(100, time.Minute, true), capacity: 100. / 60, clients: 10,
		windowN: 100, window: time.Minute,
		goals: measures{after20: .93, jain: .93, waste: .005}},
	{name: "F10s", about: "10 clients 10 s apart on a bucket 100/s, burst 100",
		model: bucket(100, 100, true, nil), capacity: 100,
		clients: 10, apart: 10 * time.Second,
		goals: measures{after20: .93, jain: .93, waste: .02}},

	{name: "G1", about: "1 core x 5 s, 504 at 29 s", model: cpu(1, 5*time.Second, nil),
		capacity: 0.2,
		goals:    measures{goodput: .95, waste: .03}},
	{name: "G2", about: "50 threads x 0.2 s, backlog 50", model: threads(50, 50, time.Second/5),
		capacity: 250,
		goals:    measures{waste: .01}},
	{name: "G3", about: "bucket 2/s, burst 1, Retry-After", model: bucket(2, 1, true, nil),
		capacity: 2,
		goals:    measures{goodput: .85, waste: .03}},
	{name: "G4", about: "window 100 in a minute, Retry-After",
		model: window(100, time.Minute, false), capacity: 100. / 60,
		windowN: 100, window: time.Minute, goals: measures{waste: .01},
		// One or two refusals in a window of only a hundred, as no quota is told.
		short: measures{waste: .0215}},
	{name: "G5", about: "M3 without Retry-After", model: bucket(10, 10, false, nil), capacity: 10,
		goals: measures{waste: .01},
		// The first waits are as short as if the bucket had no burst.
		short: measures{waste: .011}},
	{name: "G6", about: "10 threads x 1 s, no backlog, 429 instead of 503",
		model:    threadsOf(model.Threads{Workers: 10, Service: time.Second, Refusal: 429}),
		capacity: 10, goals: measures{waste: .01}},
	{name: "G7", about: "M1, down for a minute", model: down(0, false, threads(5, 20, time.Second)),
		capacity: 5,
		out:      outage, goals: measures{waste: .01, change: 15, dead: 10},
		// What is in flight as it begins is accepted yet, and ends the holding back.
		short: measures{dead: 12}},
	{name: "G7k", about: "the same, killing what is in flight",
		model: down(0, true, threads(5, 20, time.Second)), capacity: 5,
		out: outage, goals: measures{waste: .01, change: 15, dead: 10}},
	{name: "G8", about: "2 cores x 20 ms", model: cpu(2, 20*time.Millisecond, nil), capacity: 100,
		goals: measures{waste: .01}},

	{name: "S1", about: "M1, 4 KiB, 4 MiB, 4 KiB in thirds, 4 MiB/s each",
		model: threads(5, 20, time.Second), capacity: 5,
		mix: switching, connection: 4 * mib,
		goals: measures{goodput: .96, waste: .01, start: 10, change: 15}},
	{name: "S2", about: "M1, 4 KiB and twice 4 MiB mixed, 4 MiB/s each",
		model: threads(5, 20, time.Second), capacity: 5,
		mix: mixing, connection: 4 * mib, goals: measures{goodput: .96, waste: .01, start: 10}},
	{name: "S1l", about: "S1 on a link of 10 MiB/s", model: threads(5, 20, time.Second),
		capacity: 5, factor: model.Steps(third, 1, .5, 1),
		mix: switching, link: 10 * mib,
		goals: measures{goodput: .96, waste: .01, start: 10, change: 15},
		// One seed of five, in which the large bodies come and go in bunches: 10 s hold 25.
		short: measures{change: 32}},
	{name: "S2l", about: "S2 on a link of 10 MiB/s", model: threads(5, 20, time.Second),
		capacity: 10 * mib * 3. / (8*mib + 4<<10),
		mix:      mixing, link: 10 * mib, goals: measures{goodput: .96, waste: .01, start: 10}},

	{name: "C1", about: "M1, in flight 4 given", model: threads(5, 20, time.Second), capacity: 4,
		limits: throttle.Limits{InFlight: 4},
		goals:  measures{goodput: .97, waste: nothing, start: 10}},
	{name: "C2", about: "M3, rate 6 given", model: bucket(10, 10, true, nil), capacity: 6,
		limits: throttle.Limits{Rate: 6}, goals: measures{goodput: .97, waste: nothing, start: 10}},
	{name: "C3", about: "M3, rate 12 given: too much", model: bucket(10, 10, true, nil),
		capacity: 10,
		limits:   throttle.Limits{Rate: 12}, goals: measures{waste: .01}},

	{name: "C4", about: "4 in any second, rate 4 given, jitter 20 ms", model: sliding(4, false),
		capacity: 4, jitter: 20 * time.Millisecond,
		limits: throttle.Limits{Rate: 4}, goals: measures{goodput: .95, waste: .01}},
	{name: "C4c", about: "the same, refusals count too", model: sliding(4, true), capacity: 4,
		jitter: 20 * time.Millisecond,
		limits: throttle.Limits{Rate: 4}, goals: measures{goodput: .95, waste: .01}},

	// Servers that no rule was made for.
	{name: "K1", about: "12 threads, log-normal sigma 0.7, mean 0.35 s, backlog 12",
		model: threadsOf(model.Threads{Workers: 12, Backlog: 12,
			Service: 350 * time.Millisecond, Sigma: .7}),
		capacity: 12 / .35, mean: 350 * time.Millisecond,
		goals: measures{goodput: .95, waste: .01, start: 10}},
	{name: "K2", about: "6 cores, 0.8 s of CPU, 503 above 12",
		model:    cpuOf(model.CPU{Cores: 6, Work: 800 * time.Millisecond, Limit: 12}),
		capacity: 7.5, goals: measures{goodput: .95, waste: .01, start: 10}},
	{name: "K3", about: "bucket 3.3/s, burst 20, no Retry-After, 1 s each",
		model:    quotaOf(model.Quotas{Rate: 3.3, N: 20, Service: time.Second}),
		capacity: 3.3, goals: measures{goodput: .9, waste: .02},
		// While one backs off, the bucket fills: what goes next is accepted, so that refusals are
		// taken for too many in flight, and no rate is learned.
		short: measures{waste: .06}},
	{name: "K4", about: "window 30 in 3 s with quota headers, 0.5 s each",
		model: quotaOf(model.Quotas{N: 30, Window: 3 * time.Second, RetryAfter: true,
			Headers: true, Service: time.Second / 2}),
		capacity: 10, windowN: 30, window: 3 * time.Second,
		goals: measures{goodput: .95, waste: nothing}},
	{name: "K5", about: "16 cores, log-normal sigma 1, mean 0.4 s of CPU",
		model:    cpuOf(model.CPU{Cores: 16, Work: 400 * time.Millisecond, Sigma: 1}),
		capacity: 40, mean: 400 * time.Millisecond,
		goals: measures{goodput: .95, waste: .01, start: 10}},
	{name: "K6", about: "bucket 120/s, burst 5, Retry-After, 0.3 s each",
		model: quotaOf(model.Quotas{Rate: 120, N: 5, RetryAfter: true,
			Service: 300 * time.Millisecond}),
		capacity: 120, goals: measures{goodput: .9, waste: .02},
		// The first estimate is 99 a second, from where the cubic takes minutes.
		short: measures{goodput: .85}},
	{name: "K7", about: "4 in a second of the wall clock, no Retry-After, 1.03 s each",
		model: quotaOf(model.Quotas{N: 4, Window: time.Second,
			Service: 1030 * time.Millisecond}),
		capacity: 4, windowN: 4, window: time.Second, goals: measures{goodput: .9, waste: .02}},
	{name: "K8", about: "bucket 3/s with Retry-After before M1",
		model:    before(quota(3, 3), threads(5, 20, time.Second)),
		capacity: 3, goals: measures{goodput: .95, waste: .02},
		// The cubic looks for more every 20 s, and there are only 60 requests in them.
		short: measures{waste: .031}},
	{name: "K9", about: "bucket 8/s with Retry-After before M1",
		model:    before(quota(8, 8), threads(5, 20, time.Second)),
		capacity: 5, goals: measures{goodput: .95, waste: .02}},

	{name: "X1", about: "M1z, refusals take 0.2 s", model: threads(5, 0, time.Second),
		capacity: 5, refusalTrip: time.Second / 5,
		goals: measures{goodput: .97, waste: .01, start: 10}},
	{name: "X1q", about: "M3, refusals take 0.2 s", model: bucket(10, 10, true, nil),
		capacity: 10, refusalTrip: time.Second / 5,
		goals: measures{goodput: .97, waste: .01, start: 10}},
	{name: "X1g", about: "G5, refusals take 0.2 s", model: bucket(10, 10, false, nil),
		capacity: 10, refusalTrip: time.Second / 5,
		goals: measures{goodput: .97, waste: .01, start: 10},
		// As G5: it takes some refusals to see that the bucket has a burst.
		short: measures{waste: .012, start: 26}},
	{name: "X2", about: "M1 with endless backlog, connects take 3 s above 20 in flight",
		model: func(seed uint64) model.Model {
			return &model.SlowConnect{Model: threads(5, 1000, time.Second)(seed), Above: 20,
				Delay: 3 * time.Second}
		}, capacity: 5, goals: measures{goodput: .97, waste: .01, start: 10}},
	{name: "X3", about: "M1, hangs for a minute; our timeout 30 s",
		model: func(seed uint64) model.Model {
			return model.NewHang(outage[0], outage[1]-outage[0], threads(5, 20, time.Second)(seed))
		}, capacity: 5, out: outage, timeout: 30 * time.Second,
		goals: measures{goodput: .97, waste: .01, start: 10, change: 15, dead: 10}},
	{name: "X4", about: "F1, refusals take 0.1 s, a naive AIMD and a fixed 16 among the four",
		model: threads(20, 20, time.Second), capacity: 20,
		refusalTrip: time.Second / 10,
		clients:     4, apart: 30 * time.Second, onGrid: true, neighbors: func(i int) pacer {
			switch i {
			case 1:
				return newAIMD()
			case 2:
				return newFixed(16)
			}
			return nil
		}},
	{name: "X6", about: "429 to everything", model: func(uint64) model.Model { return never{-1} },
		capacity: 0},
	{name: "X6r", about: "429 to everything, Retry-After 1 s",
		model: func(uint64) model.Model { return never{1} }, capacity: 0},
	{name: "X7", about: "M3 whose Retry-After lies", capacity: 10,
		model: func(seed uint64) model.Model {
			return &liar{Model: bucket(10, 10, true, nil)(seed),
				rnd: rand.New(rand.NewPCG(seed, 2))}
		}},
	{name: "X8", about: "M1, a random tenth answered 503", capacity: 4.5,
		model: straying(threads(5, 20, time.Second), 503, -1, tenth),
		goals: measures{goodput: .24, waste: .12},
		// One seed of five, in which the spacing is taken for the cause for some seconds.
		short: measures{goodput: .23}},
	{name: "X9", about: "M1z, two of the three clients a fixed 2",
		model: threads(5, 0, time.Second), capacity: 5,
		clients: 3, neighbors: func(i int) pacer {
			if i > 0 {
				return newFixed(2)
			}
			return nil
		}, goals: measures{goodput: .97, waste: .075},
		// Its neighbours come in any order, so that it varies from run to run.
		short: measures{waste: .09}},

	// Rate limiters that refuse with another status than 429.
	{name: "R1", about: "bucket 50/s, burst 1, 503 at once", model: limiter(50, 1, 503, false),
		capacity: 50,
		goals:    measures{after20: .92, waste: .03}},
	{name: "R2", about: "the same, burst 6", model: limiter(50, 6, 503, false), capacity: 50,
		goals: measures{after20: .95, waste: .03}},
	{name: "R3", about: "the same, burst 21", model: limiter(50, 21, 503, false), capacity: 50,
		goals: measures{after20: .95, waste: .03}},
	{name: "R4", about: "R2, rate 50 given", model: limiter(50, 6, 503, false), capacity: 50,
		limits: throttle.Limits{Rate: 50},
		goals:  measures{after20: .95, waste: .03}},
	{name: "R4s", about: "R1, rate 50 given", model: limiter(50, 1, 503, false), capacity: 50,
		limits: throttle.Limits{Rate: 50},
		goals:  measures{after20: .92, waste: .03}},
	{name: "R5", about: "R2 before 4 threads x 75 ms, no backlog, 503", capacity: 50,
		model: before(limiter(50, 6, 503, false), threads(4, 0, 75*time.Millisecond)),
		goals: measures{after20: .9, waste: .03},
		// The number in flight binds first and settles one below what the bucket would take.
		short: measures{after20: .78}},
	{name: "R5l", about: "R2 before 4 threads x 0.4 s", capacity: 10,
		model: before(limiter(50, 6, 503, false), threads(4, 0, 400*time.Millisecond)),
		goals: measures{after20: .95, waste: .03}},
	{name: "R6", about: "R2, Retry-After", model: limiter(50, 6, 503, true), capacity: 50,
		goals: measures{after20: .95, waste: .03},
		// It takes ten seconds to find the cause where each refusal asks for one, and each costs
		// one afterwards.
		short: measures{after20: .93}},
	{name: "R7", about: "R2 with 502", model: limiter(50, 6, 502, false), capacity: 50,
		goals: measures{after20: .95, waste: .03}},
	{name: "R8", about: "R1 with 20/s", model: limiter(20, 1, 503, false), capacity: 20,
		goals: measures{after20: .92, waste: .03},
		// As R1, a little short.
		short: measures{after20: .91}},
	{name: "R8h", about: "R1 with 100/s", model: limiter(100, 1, 503, false), capacity: 100,
		goals: measures{after20: .92, waste: .03},
		// As R1, a little short.
		short: measures{after20: .9}},
	{name: "R9", about: "R2, 0.1 s each", capacity: 50,
		model: quotaOf(model.Quotas{Rate: 50, N: 6, Refusal: 503, Service: service}),
		goals: measures{after20: .95, waste: .03},
		// Found as a number in flight, of which one more or less is a fifth.
		short: measures{after20: .91}},

	// The same with 429, which names no wait either.
	{name: "Q1", about: "R1 with 429", model: limiter(50, 1, 429, false), capacity: 50,
		goals: measures{after20: .92, minute: .92, waste: .03},
		// As R1, a little short, and slow to get there.
		short: measures{minute: .87}},
	{name: "Q2", about: "R2 with 429", model: limiter(50, 6, 429, false), capacity: 50,
		goals: measures{start: 10, after20: .95, minute: .95, waste: .03}},
	{name: "Q2l", about: "the same, round trips of 5 ms", model: limiter(50, 6, 429, false),
		capacity: 50, jitter: 5 * time.Millisecond,
		goals: measures{start: 10, after20: .95, minute: .95, waste: .03}},
	{name: "Q3", about: "R3 with 429", model: limiter(50, 21, 429, false), capacity: 50,
		goals: measures{start: 10, after20: .95, minute: .95, waste: .03}},
	{name: "Q4", about: "Q3 with 200/s", model: limiter(200, 21, 429, false), capacity: 200,
		goals: measures{start: 10, after20: .95, minute: .95, waste: .03}},
	{name: "Q5", about: "bucket 5/s, burst 2, 429 at once", model: limiter(5, 2, 429, false),
		capacity: 5,
		goals:    measures{start: 10, after20: .95, minute: .95, waste: .03},
		// At so slow a rate a refusal costs a pause of a second.
		short: measures{after20: .925, minute: .92}},

	// Outages that show in other ways than by a closed port.
	{name: "D1", about: "20 threads x 20 ms, rate 200 given, 502 for a minute",
		model:    down(502, true, threads(20, 20, 20*time.Millisecond)),
		capacity: 200, limits: throttle.Limits{Rate: 200}, out: outage,
		goals: measures{waste: .01, change: 15, dead: 12}},
	{name: "D2", about: "the same with 500",
		model:    down(500, true, threads(20, 20, 20*time.Millisecond)),
		capacity: 200, limits: throttle.Limits{Rate: 200}, out: outage,
		goals: measures{waste: .01, change: 15, dead: 12}},
	{name: "D3", about: "the same, a proxy refuses CONNECT",
		model:    down(0, true, threads(20, 20, 20*time.Millisecond)),
		capacity: 200, limits: throttle.Limits{Rate: 200}, out: outage,
		goals: measures{waste: .01, change: 15, dead: 12}},
	{name: "D4", about: "the same, TLS handshakes fail after 10 ms",
		model:    down(0, true, threads(20, 20, 20*time.Millisecond)),
		capacity: 200, limits: throttle.Limits{Rate: 200}, out: outage,
		refusalTrip: 10 * time.Millisecond,
		goals:       measures{waste: .01, change: 15, dead: 12},
		// Three of those that were in flight fail late.
		short: measures{dead: 13}},
	{name: "D5", about: "M1, 502 for a minute", model: down(502, true, threads(5, 20, time.Second)),
		capacity: 5,
		out:      outage, goals: measures{waste: .01, change: 15, dead: 12}},

	// Long transfers.
	{name: "L1", about: "4 files of 100 s, each connection 2 MB/s", model: fast,
		mix: always(200e6), connection: 2e6,
		items: 4, best: 100 * time.Second, goals: measures{time: 1.3}},
	{name: "L2", about: "1,000 files of 10 s", model: fast, mix: always(20e6), connection: 2e6,
		items: 1000, best: 40 * time.Second, goals: measures{time: 1.3}},
	{name: "L3", about: "files of 10 s, each connection 2 MB/s, all 10 MiB/s", model: fast,
		mix: always(20e6), connection: 2e6, link: 10 * mib,
		capacity: 10 * mib / 20e6, goals: measures{after20: .9, inFlight: 1.5 * 10 * mib / 2e6}},
	{name: "L3l", about: "the same files, all 10 MiB/s", model: fast, mix: always(20e6),
		link:     10 * mib,
		capacity: 10 * mib / 20e6, goals: measures{after20: .9, inFlight: 4}},
	{name: "L4", about: "40 files of 4 KiB to 1 GiB, each connection 10 MB/s", model: fast,
		mix: growing, connection: 10e6,
		items: 40, best: transfer(1<<30, 10e6), goals: measures{time: 1.3}},

	// Refusals of single requests.
	{name: "T1", about: "1 thread x 9.5 ms, backlog 20; two 429s three requests apart",
		capacity: 1 / .0095,
		model:    straying(threads(1, 20, 9500*time.Microsecond), 429, 1, twice(1000)),
		goals:    measures{stray: .9}},
	{name: "T1r", about: "bucket 98/s, burst 98, Retry-After; the same in mid-run", capacity: 98,
		model: straying(bucket(98, 98, true, nil), 429, 1, twice(98*int(horizon/2/time.Second))),
		goals: measures{stray: .9}},
	{name: "H429",
		about:    "4 threads x 0.1 s, backlog 20; one item always 429 with Retry-After 1 s",
		capacity: 40,
		model:    straying(threads(4, 20, time.Second/10), 429, 1, hot(5, 6, 7, 8, 9, 10, 11, 12)),
		goals:    measures{goodput: .85, waste: .01},
		// An upstream alone cannot tell a request that is always refused from a quota that is used
		// up: package retry can.
		short: measures{goodput: .2, waste: .017}},
	{name: "H503", about: "the same with 503 and no Retry-After", capacity: 40,
		model: straying(threads(4, 20, time.Second/10), 503, -1, hot(0, 1, 3, 7, 15, 31)),
		goals: measures{goodput: .95, waste: .01}},
}

// fastest is how many bytes a second an upload alone can send; 0: no limit.
func (c *cell) fastest() float64 {
	if c.connection > 0 {
		return c.connection
	}
	return c.link
}

func (c *cell) starts() []time.Duration {
	starts := make([]time.Duration, max(c.clients, 1))
	for i := range starts {
		starts[i] = time.Duration(i) * c.apart
	}
	return starts
}

func (c *cell) neighbour(i int) bool { return c.neighbors != nil && c.neighbors(i) != nil }

func (c *cell) pacer(i int) pacer {
	if c.neighbour(i) {
		return c.neighbors(i)
	}
	limits := c.limits
	if *inFlight > 0 {
		limits = throttle.Limits{InFlight: *inFlight, Fixed: true}
	}
	return newOurs(limits)
}

// outage is in seconds.
func (c *cell) outage() (from, to int) {
	return int(c.out[0] / time.Second), int(c.out[1] / time.Second)
}

// capacities is what the server can do in each second of the run.
func (c *cell) capacities() []float64 {
	can := make([]float64, horizon/time.Second)
	for s := range can {
		t := time.Duration(s) * time.Second
		if t >= c.out[0] && t < c.out[1] {
			continue
		}
		factor := 1.0
		if c.factor != nil {
			factor, _ = c.factor(t)
		}
		can[s] = c.capacity * factor
	}
	return can
}

// flood is how many requests end a run early, which costs a minute of ours otherwise: it counts as
// one that sends nothing more.
func (c *cell) flood() float64 {
	flood := 20_000.
	for _, can := range c.capacities() {
		flood += 3 * can
	}
	return math.Floor(flood)
}

// deliverable is what could be had in each second after what was had before: of a window, no more
// than is left of it. The run began at that Unix time.
func (c *cell) deliverable(accepted []float64, start int) []float64 {
	can := c.capacities()
	if c.window == 0 {
		return can
	}
	left, span := float64(c.windowN), int(c.window/time.Second)
	for s := range can {
		if (start+s)%span == 0 {
			left = float64(c.windowN)
		}
		can[s] = min(can[s], max(0, left))
		left -= accepted[s]
	}
	return can
}

// changes are the seconds at which the server, or what is sent to it, changes; of an outage its
// end.
func (c *cell) changes() (at []int) {
	if c.out[1] > 0 {
		at = append(at, int(c.out[1]/time.Second))
	}
	if c.leaves > 0 {
		at = append(at, int(c.leaves/time.Second))
	}
	factor := c.factor
	if factor == nil && c.mix != nil && len(c.mix(0)) == 1 {
		factor = steps // the sizes do
	}
	if factor == nil {
		return at
	}
	for _, t := factor(0); t < horizon; _, t = factor(t) {
		at = append(at, int(t/time.Second))
	}
	return at
}
