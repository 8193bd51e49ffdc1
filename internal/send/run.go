package send

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/journal"
	"github.com/penstock/penstock/internal/order"
	"github.com/penstock/penstock/internal/permits"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/upload"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/internal/verify"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/internal/workers"
	"github.com/penstock/penstock/pool"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

const (
	tick = 50 * time.Millisecond // for progress, growth and giving up

	// without another name from standard input, what was put aside is sent
	silentAfter = time.Second
	settle      = 30 * time.Second // after which a server is asked about a file in doubt

	ownWait = 30 * time.Second // the longest wait before an attempt that was not asked for
)

// A run is one call of Run.
type run struct {
	Options
	start     time.Time
	tally     *report.Tally
	transport *throttle.Transport
	client    *retry.Client
	verifier  verify.Verifier
	unsettled *permits.Limit // with a journal: sent, and not on disk as settled
	pool      *pool.Pool[*job]
	breakOff  context.CancelCauseFunc // ends also what is in flight
	breaking  *time.Timer             // calls it
	ending    stop.Reasons
	secrets   *conceal.Set // of all items
	uploads   wire.Uploads[*job]
	shams     reply.Shams // of delivered items
	astray    astray
	servers   upstream.Set
	refusals  upstream.Refusals[*job]
	queue     order.Queue[*job]
	workers   *workers.Need
	later     order.Later[*job]
	maker     upload.Maker

	failures    board.Recent
	toldExposed sync.Once
	// items that failed and that the journal has nothing of
	unnoted atomic.Int64
	asked   struct{ found, absent atomic.Int64 } // what servers said of items in doubt

	lacking    atomic.Int64 // delivered items of which something was not captured
	toldLacked sync.Once

	// For submit, and after it for summary, which needs no lock: nothing of the run is left then.
	waits   map[string]journal.Wait // by origin: what servers asked for in earlier runs
	skipped map[resume.Reason]int64

	read  atomic.Int64 // items, so far
	whole atomic.Bool  // these are all

	// For watch alone.
	timeline progress.Timeline
	last     progress.Snapshot
}

// hide makes a text about an item fit to be shown: a server may send back there what it was sent.
func (r *run) hide(it item.Item, text string) string {
	if text == "" {
		return ""
	}
	header := it.Header
	if len(r.Filled) > 0 {
		header = r.maker.Headers.ToAsk(it)
	}
	return human.Printable(r.secrets.With(header, it.URL).Show(text))
}

// words returns the text of an error, for people.
func (r *run) words(err error) string {
	return human.Printable(r.secrets.Show(status.Plain(err)))
}
