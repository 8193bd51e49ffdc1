package relay

import (
	"context"
	"log"
	"log/slog"
	"math"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/cache"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/courier"
	"github.com/penstock/penstock/internal/fair"
	"github.com/penstock/penstock/internal/hosts"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/parking"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// flushAfter is for how long a piece of an answer is held back that may be followed by more. What a
// stream has, or an answer of unknown length, is passed on at once in any case; of any other one
// the head and a small body go out together, in one write.
const flushAfter = 5 * time.Millisecond

// A Relay passes requests on. It is an http.Handler; [Relay.Serve] has a server around it. Use
// [New].
type Relay struct {
	Options
	targets map[string]*target
	hosts   hosts.Names
	secrets *conceal.Set

	transport *throttle.Transport
	fair      *fair.Transport
	client    *retry.Client
	cache     *cache.Transport
	proxy     *httputil.ReverseProxy

	base     context.Context // of all requests that are served
	soft     context.Context // ends when nothing new is taken
	lot      *parking.Lot
	parkFrom int // requests that wait

	intake *httputil.ReverseProxy // of what is stored
	stored *courier.Service       // delivers that

	servers  upstream.Set
	started  time.Time
	stopping atomic.Bool // nothing new is taken
	tally    tally
	told     telling
	view     view
	control  control
	fewFiles sync.Once
	notKept  rate.Sometimes
}

// New returns a relay. The targets' URLs must be checked: http or https, with a host, and without a
// query that ends in the middle.
func New(o Options) *Relay {
	r := &Relay{Options: o, started: time.Now(), parkFrom: parkFrom, targets: map[string]*target{},
		notKept: rate.Sometimes{Interval: tell}}
	r.secrets = conceal.New(o.Header, o.Network.ProxyAddresses()...)
	r.Log = conceal.Logger(o.Log, func(text string) string {
		return human.Printable(r.secrets.Hide(text))
	})
	for _, t := range o.Targets {
		key := nethttp.Origin(t.URL)
		r.targets[t.Name] = &target{Target: t, key: key, wrong: rate.Sometimes{Interval: tell}}
		if !slices.Contains(r.view.keys, key) {
			r.view.keys = append(r.view.keys, key)
		}
	}
	r.control.asked = map[string]throttle.UpstreamStats{}
	r.control.drained, r.control.drain = context.WithCancelCause(context.Background())
	r.transport = &throttle.Transport{
		Base: &wire.Transport{
			Network: o.Network, MaxIdle: max(o.Limits.InFlight, upstream.MostInFlight),
			Unrepeatable: func(req *http.Request) bool { return !nethttp.Repeatable(req) },
			Before:       leaving,
			Full: func(files, conns int) {
				r.fewFiles.Do(func() { r.Log.Warn(status.FewFiles(files, conns)) })
			},
		},
		Limits:   o.Limits,
		Timeout:  o.Timeout,
		MaxPause: math.MaxInt64, // how long a request waits is bounded as a whole
		Observe:  r.observe,
	}
	r.servers.Upstream = r.transport.Upstream
	if o.Quota != nil {
		r.servers.Upstream = o.Quota.Join(r.transport)
	}
	r.servers.Reaches = func(*upstream.Server, time.Time) bool { return false }
	for _, key := range r.view.keys {
		r.servers.Of(key) // is shown before its first request
	}
	r.fair = fair.New(r.transport)
	r.client = &retry.Client{
		HTTP: &http.Client{Transport: r.fair},
		Policy: retry.Policy{
			Attempts: o.Attempts, MaxPause: o.QueueWait, GiveUpAfter: o.GiveUpAfter,
		},
		Repeatable: nethttp.Repeatable,
		Observe:    r.retrying,
	}
	r.cache = &cache.Transport{
		Base: admission{r, r.client.StandardClient().Transport}, Name: viaName,
		MaxBytes: o.CacheBytes, TTL: o.CacheTTL, StaleIfError: o.StaleIfError,
		StaleAfter: upstream.DownAfter, // after which a target is said to be down
	}
	r.proxy = &httputil.ReverseProxy{
		Rewrite:        r.rewrite,
		Transport:      r.cache,
		ModifyResponse: r.answered,
		ErrorHandler:   r.failed,
		BufferPool:     new(buffers),
		FlushInterval:  flushAfter,
		ErrorLog:       log.New(conceal.NetLog(r.Log), "", 0),
	}
	r.intake = r.newIntake()
	r.stored = r.newCourier()
	return r
}

// newCourier returns what delivers stored requests.
func (r *Relay) newCourier() *courier.Service {
	o := courier.Options{
		Store: r.Store, Fair: r.fair, Servers: &r.servers, Log: r.Log, Secrets: r.secrets,
		Header: r.Header, Attempts: r.Attempts, InOrder: r.InOrder, Keep: r.Keep, Failed: r.note,
		Ended: r.tally.ended,
	}
	if r.CacheBytes > 0 {
		o.Answered = r.cache.Changed
	}
	for _, name := range r.names() {
		t := r.targets[name]
		o.Targets = append(o.Targets, courier.Target{Name: t.stored(), Key: t.key, Aim: t.aim,
			Localise: t.localise})
	}
	return courier.New(o)
}

// leaving is called when the turn of a request has come.
func leaving(req *http.Request) (*http.Request, error) {
	if err := courier.Leaving(req); err != nil {
		return nil, err
	}
	if c := callOf(req.Context()); c != nil {
		return c.trailer.Add(req), nil
	}
	return req, nil
}

// names returns those of the targets.
func (r *Relay) names() (names []string) {
	for name := range r.targets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// buffers are those that answers are copied with.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*buffer); ok {
		return p[:]
	}
	return new(buffer)[:]
}

func (b *buffers) Put(p []byte) { b.pool.Put((*buffer)(p)) }

// A buffer is put away without an allocation, which a slice is not.
type buffer [32 << 10]byte

// log writes a line at a level.
func (r *Relay) log(level slog.Level, text string) {
	r.Log.Log(context.Background(), level, text)
}
