// Package send is the engine of penstock send: it takes items from a source,
// has a pool of workers send them through retry and throttle, and reports how
// each ended.
package send

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// Options are one run. Source, Progress and Log must be set; zero durations are
// no limit.
type Options struct {
	To     string // where to, as people may see it: a URL template, or a manifest that has all URLs
	Source *source.Source
	Found  source.Summary // by Source.Scan

	Limits   throttle.Limits
	Workers  int           // 0: as many as the limits need
	Attempts int           // of one item
	Timeout  time.Duration // of one attempt

	MaxDuration time.Duration // of the run
	GiveUpAfter time.Duration // without anything accepted
	MaxWait     time.Duration // that a server may ask for
	StopTimeout time.Duration // for what is in flight when the user stops the run

	Network Network
	Header  http.Header // sent with each item; its values may be secrets
	// HeaderOrigin is the server that gets Header, and no other does; empty: the
	// items are known to go to one server.
	HeaderOrigin string
	UserAgent    string
	ContentType  string // empty: by the file's extension
	Form         string // the field's name; empty: the file is the body

	// Journal remembers what became of each item; Run closes it. If nil, nothing is
	// remembered.
	Journal       *journal.Journal
	Practice      bool        // the server is a practice server of this run
	Again         time.Time   // also what was delivered before
	ResendUnknown bool        // also what may have been accepted earlier
	Only          []item.Fate // what earlier runs have left so; empty: all
	Idempotency   Idempotency
	Verify        bool     // ask the server about items that it may have accepted
	Digest        bool     // send each file's SHA-256 along
	NoOverwrite   bool     // have the server refuse what it has
	Remarks       []string // to be logged at the start
	Details       []string // to be logged at the start with --verbose

	Results  *report.Results // if nil, none
	Progress progress.Sink
	Log      *slog.Logger
}

const (
	tick = 50 * time.Millisecond // for progress, growth and giving up

	downAfter   = 2 * time.Second  // a server that takes nothing is said to be down
	silence     = 10 * time.Second // without an answer while some are waited for: worth telling
	silentAfter = time.Second      // without another name from standard input, what was put aside is sent
	settle      = 30 * time.Second // after which a server is asked about a file in doubt
	tellEvery   = 30 * time.Second // a line about a pause, or a server that is down, at most

	ownWait     = 30 * time.Second // the longest wait before an attempt that nobody asked for
	refusedWait = time.Second / 2  // the same after a refusal: it is for all together to leave the server alone

	// mostInFlight is throttle's ceiling where none is given.
	mostInFlight = 256

	// maxWorkers bounds the growth of the pool. Past the limit of requests in
	// flight a worker can only wait, for a token or for its next attempt.
	maxWorkers = 4096
	// maxServers bounds what is remembered of those that a manifest names.
	maxServers = 1024
	// someWorkers are enough to begin with, where the limits do not say.
	someWorkers = 64
	// probers stand in for those whose files a server refused.
	probers = 8
)

// A run is one call of Run.
type run struct {
	Options
	start     time.Time
	tally     *report.Tally
	transport *throttle.Transport
	client    *retry.Client
	verifier  verifier
	unsettled *throttle.Concurrency // with a journal: sent, and not on disk as settled
	pool      *pool.Pool[*job]
	breakOff  context.CancelCauseFunc // ends also what is in flight
	breaking  *time.Timer             // calls it
	ending    ending
	secrets   secrets
	moving    moving
	shams     shams
	headers   sync.Map // by content type, shared by items that have none of their own

	toldForeign sync.Once
	toldExposed sync.Once
	settling    atomic.Pointer[time.Time]            // until when postponed items wait
	unread      atomic.Bool                          // the reader of the results is waited for
	unnoted     atomic.Int64                         // items that failed and that the journal has nothing of
	asked       struct{ found, absent atomic.Int64 } // what servers said of items in doubt
	doubting    atomic.Bool                          // a server has refused many items alike

	// For submit, and after it for summary.
	waits   map[string]time.Time // by origin: until when servers asked in earlier runs not to be sent anything
	before  int64                // items that were delivered earlier
	unasked int64                // items that --only leaves out

	mu       sync.Mutex
	servers  map[string]*server // by the upstream's key
	backoff  int                // jobs that wait for their next attempt
	changing int                // of these, for small files that changed while they were sent, or could not be read
	retried  int                // jobs that have waited for one, and go on

	inFlight, maxInFlight int // at all servers together

	read      int64       // items, so far
	whole     bool        // these are all
	accepted  bool        // something was, ever
	refusedBy map[int]int // items that were refused for good, by status
	order     order
	refusals  refusals
	later     postponed
	failing   bool // some request was not accepted since the last one that was
	refusing  bool // the last such request failed because of the server, not of its item
	probes    probes
	heard     time.Time // when the last answer came, or the first request left that has none yet
	pauseTold time.Time // when a line about a pause was last written

	// For watch alone.
	unclaimed int64 // tokens that nobody waited for, when last looked
	grown     int   // workers that the limits need
	standIns  int   // workers beside them, in place of those that wait for a server that is closed
	grew      bool  // when last looked
	timeline  progress.Timeline
	last      progress.Snapshot
}

// Run sends all items and returns the report. The end of soft begins an orderly
// stop: nothing new is sent, what is in flight ends. The end of ctx breaks that
// off as well. Run returns when nothing of it is left running.
func Run(ctx, soft context.Context, o Options) report.Summary {
	r := newRun(o)
	r.Log.Info(o.Describe())
	switch {
	case o.Journal != nil:
		r.Log.Info(o.describeJournal(r.start))
	case o.Practice:
		r.Log.Info("no journal is kept: the practice server ends with the run")
	}
	for _, remark := range o.Remarks {
		r.Log.Warn(remark)
	}
	for _, detail := range o.Details {
		r.Log.Debug(detail)
	}
	r.exposed(o.Exposed())

	ctx, r.breakOff = context.WithCancelCause(ctx)
	defer r.breakOff(nil)
	work, done := context.WithCancel(soft) // for submitting
	defer done()
	r.ending.begin = func() {
		done()
		r.client.Stop(r.ending.cause())
		r.transport.Stop(r.ending.cause())
	}
	interrupted := make(chan struct{})
	stopWatching := context.AfterFunc(soft, func() {
		defer close(interrupted)
		r.interrupt(context.Cause(soft))
	})

	var watch sync.WaitGroup
	finished := make(chan struct{})
	watch.Go(func() { r.watch(finished) })
	r.submit(work)
	r.comeBack(work)
	// What ends the pool early is ctx, and then each item says so itself.
	_ = r.pool.Drain(ctx)
	for _, j := range r.later.jobs {
		r.giveBack(j)
	}
	if r.Journal != nil {
		r.Journal.Flush()
	}
	r.closeResults(ctx)
	if !stopWatching() {
		<-interrupted // what it says belongs before the summary
	}
	if r.breaking != nil {
		r.breaking.Stop()
	}
	close(finished)
	watch.Wait()
	r.transport.CloseIdleConnections()
	s := r.summary()
	if r.Journal != nil {
		if err := r.Journal.Close(s.ExitStatus); err != nil && s.ExitStatus != exit.Local {
			s.ExitStatus = exit.Local
			s.Notes = append(s.Notes, status.Plain(err))
		}
	}
	return s
}

// interrupt begins the orderly stop that the user asked for.
func (r *run) interrupt(cause error) {
	status, second := exit.Interrupted, "a second signal"
	var by *exit.Signal
	if errors.As(cause, &by) {
		status = by.Status()
		if by.Signal == os.Interrupt {
			second = "a second Ctrl-C"
		}
	}
	// First of all: what is in flight then is what is left to finish.
	r.end(status, cause)
	r.mu.Lock()
	n := r.inFlight
	r.mu.Unlock()
	text := fmt.Sprintf("%v: sending nothing new", cause)
	if n > 0 {
		text += fmt.Sprintf(", %d in flight may finish", n)
		if r.StopTimeout > 0 {
			text += fmt.Sprintf(" within %s", human.Exact(r.StopTimeout))
		}
		text += fmt.Sprintf("; %s ends at once", second)
	}
	r.Log.Info(text)
	if r.StopTimeout == 0 {
		return
	}
	r.breaking = time.AfterFunc(r.StopTimeout, func() {
		r.Log.Info(fmt.Sprintf("--stop-timeout %s is over: what is in flight is broken off", human.Exact(r.StopTimeout)))
		r.breakOff(fmt.Errorf("%w, and --stop-timeout %s is over", cause, human.Exact(r.StopTimeout)))
	})
}

func newRun(o Options) *run {
	r := &run{
		Options: o,
		start:   time.Now(),
		servers: make(map[string]*server), refusedBy: make(map[int]int),
		secrets: newSecrets(o.Header, o.Network.addresses()...),
	}
	r.Log = r.secrets.logger(o.Log)
	r.tally = report.NewTally(r.start)
	r.unsettled = throttle.NewConcurrency(fewestUnsettled)
	if o.Journal != nil {
		r.waits = make(map[string]time.Time)
		for _, w := range o.Journal.Waits() {
			r.waits[w.Origin] = w.Until
		}
	}
	inFlight := o.Limits.InFlight
	if inFlight == 0 {
		inFlight = mostInFlight
	}
	var once sync.Once
	r.Network.full = func(files, conns int) {
		once.Do(func() {
			r.Log.Warn(fmt.Sprintf("only %d files may be open at once (ulimit -n): there are no more than %d connections", files, conns))
		})
	}
	r.transport = &throttle.Transport{
		Base:    r.base(inFlight),
		Limits:  o.Limits,
		Timeout: o.Timeout,
		MaxWait: forever(o.MaxWait),
		Observe: r.observe,
	}
	r.client = &retry.Client{
		HTTP:       &http.Client{Transport: r.transport},
		Repeatable: func(req *http.Request) bool { return r.repeatable(req.Method) },
		Classify:   r.classify,
		Policy: retry.Policy{
			Attempts: o.Attempts, Cap: ownWait, RefusalCap: refusedWait, MaxWait: forever(o.MaxWait), GiveUpAfter: math.MaxInt64,
		},
		Observe: r.retrying,
	}
	r.verifier.client, r.verifier.timeout = &http.Client{Transport: r.transport}, o.Timeout
	r.verifier.settle = max(settle, 2*o.Timeout)
	r.verifier.keyHeader = o.Idempotency.Header
	r.grown = o.Workers
	if r.grown == 0 {
		r.grown = min(inFlight, maxWorkers)
		if o.Limits.InFlight == 0 {
			r.grown = someWorkers
		}
		if o.Limits.Rate > 0 {
			// Enough for answers that take half a second; the rest is grown.
			r.grown = min(r.grown, max(8, int(o.Limits.Rate)/2+2))
		}
	}
	r.pool = pool.New(r.grown, r.item)
	r.pool.Failed = func(j *job, err error) {
		if errors.Is(err, pool.ErrNotStarted) {
			r.leave(j)
		} else {
			r.done(j, report.Item{Status: item.Failed, Error: err.Error()})
		}
	}
	return r
}

// base returns the transport below the limits.
func (r *run) base(idle int) http.RoundTripper {
	r.Network.CertificateOrigin = r.HeaderOrigin
	r.Network.Unrepeatable = func(req *http.Request) bool { return jobOf(req) != nil && !r.repeatable(req.Method) }
	return &announcer{r.Network.base(idle), r}
}

// forever returns d, or the longest duration where it is zero.
func forever(d time.Duration) time.Duration {
	if d == 0 {
		return math.MaxInt64
	}
	return d
}

// submit hands the source's items to the pool until all are, or ctx ends.
func (r *run) submit(ctx context.Context) {
	items := r.Source.Items()
	if r.Found.Partial {
		items = until(ctx, items)
	}
	for it, err := range items {
		if ctx.Err() != nil || r.awaitReader(ctx) != nil {
			return
		}
		if errors.Is(err, errSilence) {
			if !r.sendAside(ctx) {
				return
			}
			continue
		}
		r.mu.Lock()
		r.read++
		r.order.read(it)
		r.mu.Unlock()
		var failed *source.ItemError
		switch {
		case errors.As(err, &failed):
			r.done(&job{item: failed.Item}, report.Item{Status: item.Failed, Error: failed.Err.Error()})
		case err != nil:
			r.end(exit.Failed, err)
			return
		default:
			if !r.putAside(ctx, it) && !r.submitItem(ctx, it) {
				return
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	r.whole = true
	r.mu.Unlock()
	if r.sendAside(ctx) {
		r.endIfAlone()
	}
}

// errSilence takes the place of an item that has not come for silentAfter.
var errSilence = errors.New("nothing was read for a while")

// until yields items until ctx ends, also where the next one is waited for:
// standard input may stay silent for hours. Its reader is left behind then, until
// a line comes or the program ends.
func until(ctx context.Context, items iter.Seq2[source.Item, error]) iter.Seq2[source.Item, error] {
	type next struct {
		item source.Item
		err  error
	}
	return func(yield func(source.Item, error) bool) {
		read := make(chan next)
		silent := time.NewTimer(silentAfter)
		defer silent.Stop()
		go func() {
			defer close(read)
			for it, err := range items {
				select {
				case read <- next{it, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		for {
			select {
			case n, more := <-read:
				if !more || !yield(n.item, n.err) {
					return
				}
				silent.Reset(silentAfter)
			case <-silent.C:
				if !yield(source.Item{}, errSilence) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// watch looks after the run until it is finished: growth, giving up, progress.
func (r *run) watch(finished <-chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var deadline <-chan time.Time
	if r.MaxDuration > 0 {
		timer := time.NewTimer(r.MaxDuration)
		defer timer.Stop()
		deadline = timer.C
	}
	var broken, unwritten <-chan struct{}
	if r.Journal != nil {
		broken = r.Journal.Failed()
	}
	if r.Results != nil {
		unwritten = r.Results.Failed()
	}
	var meter progress.Meter
	look := func() {
		now := time.Now()
		v := r.view(now)
		r.tell(now)
		r.grow(v)
		if broken != nil {
			r.unsettled.SetLimit(max(fewestUnsettled, v.room))
		}
		r.giveUp(now)
		s := r.snapshot(v, now)
		meter.Measure(&s)
		r.timeline.Add(&s)
		r.Progress.Update(s)
		r.last = s
	}
	for {
		select {
		case <-finished:
			look()
			return
		case <-deadline:
			r.end(exit.Limit, fmt.Errorf("--max-duration %s is over", human.Exact(r.MaxDuration)))
			deadline = nil
		case <-broken:
			r.end(exit.Local, r.Journal.Err())
			r.unsettled.SetLimit(math.MaxInt32) // the callers that wait have to learn of it
			broken = nil
		case <-unwritten:
			r.noResults(r.Results.Err())
			unwritten = nil
		case <-ticker.C:
			look()
		}
	}
}

// grow adds workers to the pool until one of them always waits for its turn, as long
// as there is work for them. Further workers stand in for those that can do nothing for
// now because their file waits for its next attempt or their server takes nothing.
func (r *run) grow(v view) {
	if r.Workers > 0 || r.pool.Stats().Queued == 0 {
		return
	}
	r.mu.Lock()
	backoff, refusing, further := r.backoff, r.refusing, r.probes.standIns()
	r.mu.Unlock()
	if refusing {
		// A server that takes nothing needs only the workers that find out when it does.
		backoff = min(backoff, probers)
	}
	if v.parked == 0 {
		r.standIns = 0
	}
	late := v.Unclaimed > r.unclaimed || v.Waiting == v.parked
	r.unclaimed = v.Unclaimed
	more := (r.grown+r.standIns)/2 + 1
	switch {
	case r.grew:
		r.grew = false // tokens that were late before the new workers came say nothing of them
	case !late || v.Holding == throttle.ByBandwidth:
	case v.parked > 0:
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
	r.standIns = min(max(r.standIns, v.parked), maxWorkers)
	r.pool.Resize(min(r.grown+backoff+further+r.standIns, maxWorkers))
}
