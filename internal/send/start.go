package send

import (
	"context"
	"errors"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/permits"
	"github.com/penstock/penstock/internal/plan"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/internal/workers"
	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// Run sends all items and returns the report. The end of soft begins an orderly stop: nothing new
// is sent, what is in flight ends. The end of ctx breaks that off as well. Run returns when nothing
// of it is left running.
func Run(ctx, soft context.Context, o Options) report.Summary {
	r := newRun(o)
	r.Log.Info(status.Describe(o.Source.Method(), o.To, o.Found, o.Limits, o.SharedQuota))
	if !o.Shard.IsWhole() {
		own, all := o.Source.Divided(o.Found)
		r.Log.Info(status.InShard(o.Shard, own, all, o.Found))
		if o.Journal != nil {
			o.Journal.Enter() // a shard without items has been sent, too: see journal.Merge
		}
	}
	switch {
	case o.Journal != nil:
		r.Log.Info(o.DescribeJournal(o.Journal, r.start))
	case o.Practice:
		r.Log.Info(status.NoJournal)
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
	r.ending.Begin = func() {
		done()
		r.client.Stop(r.ending.Cause()) // and with it the transport
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
	r.later.ComeBack(work, r)
	// What ends the pool early is ctx, and then each item says so itself.
	_ = r.pool.Drain(ctx)
	for _, j := range r.later.Take() {
		r.GiveBack(j)
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

// closeResults waits until the results are written.
func (r *run) closeResults(ctx context.Context) {
	if r.Results == nil {
		return
	}
	if err := r.Results.Finish(ctx, func() { r.Log.Warn(status.ResultsWait) }); err != nil {
		r.noResults(err)
	}
}

func newRun(o Options) *run {
	r := &run{
		Options: o,
		start:   time.Now(),
		secrets: conceal.New(o.Header, o.Network.ProxyAddresses()...),
		skipped: make(map[resume.Reason]int64),
	}
	r.Log = conceal.Logger(o.Log, func(text string) string {
		return human.Printable(r.secrets.Hide(text))
	})
	r.tally = report.NewTally(r.start)
	r.unsettled = permits.New(fewestUnsettled)
	if o.Journal != nil {
		r.waits = r.Recall(o.Journal)
	}
	inFlight := o.Limits.InFlight
	if inFlight == 0 {
		inFlight = upstream.MostInFlight
	}
	r.transport = &throttle.Transport{
		Base:     r.wire(inFlight),
		Limits:   o.Limits,
		Timeout:  o.Timeout,
		MaxPause: plan.Forever(o.MaxWait),
		Observe:  r.observe,
	}
	r.servers.Upstream = r.transport.Upstream
	if o.Quota != nil {
		r.servers.Upstream = o.Quota.Join(r.transport)
	}
	if !o.Answers.IsEmpty() {
		r.transport.Feedback = r.feedback
	}
	r.queue.Engine, r.queue.Servers = r, &r.servers
	r.queue.Endless, r.queue.InOrder = o.Found.Partial, o.Found.Stream
	r.servers.One, r.servers.Whole, r.servers.End = !o.Source.OwnURLs(), r.whole.Load, r.end
	r.servers.Closed = func(s *upstream.Server, reason stop.ServerReason) {
		r.Log.Warn(status.Closed(s, reason))
	}
	r.servers.GiveUpAfter = o.GiveUpAfter
	r.servers.Proven = o.Journal != nil && o.Journal.Earlier().Counts[item.Delivered] > 0
	r.servers.Reaches = func(s *upstream.Server, since time.Time) bool {
		return r.uploads.Reaches(s.Key, since)
	}
	r.maker.Idempotency, r.maker.ContentType = o.Idempotency, o.ContentType
	r.maker.Digest = o.Digest
	r.maker.Vars = o.Source.Vars()
	r.maker.Own = func(it *item.Item) { r.exposed(status.Exposed(it.URL, it.Header, false)) }
	h := &r.maker.Headers
	h.Filled = o.Filled
	h.All, h.Home, h.UserAgent, h.NoOverwrite = o.Header, o.HeaderOrigin, o.UserAgent, o.NoOverwrite
	h.Withheld = func(it item.Item) {
		r.Log.Info(status.Withheld(o.HeaderOrigin, it.Path, o.Network.Certified()))
	}
	r.client = &retry.Client{
		HTTP:        &http.Client{Transport: r.transport, CheckRedirect: r.redirected},
		CrossOrigin: len(o.FollowTo) > 0,
		Repeatable:  func(req *http.Request) bool { return r.Repeatable(req.Method) },
		Classify:    r.classify,
		Policy: retry.Policy{
			Attempts: o.Attempts, Cap: ownWait,
			MaxPause: plan.Forever(o.MaxWait), GiveUpAfter: math.MaxInt64,
		},
		Observe: r.retrying,
	}
	r.verifier.Client, r.verifier.Timeout = &http.Client{Transport: r.transport}, o.Timeout
	r.verifier.Settle = max(settle, 2*o.Timeout)
	r.verifier.KeyHeader = o.Idempotency.Header
	r.workers = workers.New(o.Workers, o.Limits)
	r.pool = pool.New(r.workers.ToBegin(), r.item)
	r.pool.OnError = func(j *job, err error) {
		if errors.Is(err, pool.ErrNotStarted) {
			r.abandon(j)
		} else {
			r.done(j, results.Result{Status: item.Failed, Error: err.Error()})
		}
	}
	return r
}

// wire returns the transport below the limits.
func (r *run) wire(idle int) *wire.Transport {
	var once sync.Once
	return &wire.Transport{
		Network:           r.Network,
		MaxIdle:           idle,
		CertificateOrigin: r.HeaderOrigin,
		Before:            r.beforeSending,
		Unrepeatable: func(req *http.Request) bool {
			return jobOf(req) != nil && !r.Repeatable(req.Method)
		},
		BodyFault: func(err error) bool { return body.Fault(err) != nil },
		Full: func(files, conns int) {
			once.Do(func() { r.Log.Warn(status.FewFiles(files, conns)) })
		},
	}
}
