// Package quota shares one rate of requests, one limit of those in flight, and what the server says
// of pauses among any number of processes, by a Redis server.
//
// A [Quota] leases slots to the upstreams of the package throttle: all processes that open the same
// name together send at most at its rate, and each has as much of it as it can use. What is granted
// when is decided by one script in the Redis server, by its clock alone; see the directory lua.
// While the server is away each process goes on with its share for a time, see [Down].
package quota

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// Settings are what is shared. A zero field is not set.
type Settings struct {
	Rate     rate.Limit // requests a second, of all processes together
	Burst    int        // how many may leave at once after a time of rest; if zero, 1
	InFlight int        // requests in flight at any time, of all processes together
}

// validate reports a value that cannot be.
func (s Settings) validate() error {
	switch r := float64(s.Rate); {
	case r < 0, math.IsNaN(r), math.IsInf(r, 0), r > 0 && r < 1e-6: // one in 12 days
		return fmt.Errorf("the rate of a quota must be a number of requests a second, 0.000001 "+
			"at least, not %v", r)
	case s.Burst < 0:
		return fmt.Errorf("the burst of a quota must not be negative: %d", s.Burst)
	case s.InFlight < 0:
		return fmt.Errorf("the limit of requests in flight of a quota must not be negative: %d",
			s.InFlight)
	}
	return nil
}

// Down is what a process does while the Redis server cannot be reached.
type Down uint8

// The text of each is what String returns.
const (
	Share Down = iota // "share": it goes on with its last share, for 30 s, and then stops
	Stop              // "stop": it sends nothing
	Local             // "local": it goes on with a rate of its own
)

var downs = [...]string{"share", "stop", "local"}

func (d Down) String() string { return downs[min(int(d), len(downs)-1)] }

// Options are how a process takes part. The zero value is useful.
type Options struct {
	// Settings are what this process says of the quota. The first that says something settles it
	// for all. A value that differs from what was given before, and from what is in force, is a
	// [*ConflictError]; one that was given before and is not in force is not used.
	Settings

	Down Down
	// LocalRate is the rate of this process with Local, or that of the quota if it was less. If
	// zero, its last share, without an end.
	LocalRate rate.Limit

	// Host is the name of this process for people. If empty, the host's name.
	Host string

	// Notify, if set, is called with what people should know, one call at a time. It must not
	// block.
	Notify func(Notice)
}

// A Quota is this process's part in what is shared. It is safe for concurrent use. Use [Open].
//
// The process counts as a host of the quota from the first call of Attach or Lease until Close.
type Quota struct {
	target  *target
	options Options
	client  redis.UniversalClient
	id      string
	started time.Time
	beats   int64 // so far; only for the goroutine that sends them

	begin  sync.Once
	ended  chan struct{} // closed when what begin started has ended
	cancel context.CancelFunc
	ctx    context.Context
	nudge  chan struct{}

	notify  sync.Mutex // Options.Notify is called with it held
	telling sync.Mutex // upstreams are told what to obey with it held, of news in their order

	mu struct {
		sync.Mutex
		view     view
		contact  contact
		pause    pause // asked for, and to be told to the others
		attached map[*attachment]bool
		// of all that ever were attached, and the names of those whose permits are to be given back
		attachments int
		left        []string
		back        int   // how often the server was, after it had been away
		fallback    int64 // the end of the last slot of our own, by the server's clock
		closed      bool
		unsettled   bool // the server has not been told yet what the options say
		granted     int64
		roundTrips  int64
	}
}

// Open connects to the Redis server and settles what the options say. The URL is
// redis://[user:password@]host[:port]/DB/NAME, or with the scheme rediss, unix, redis+sentinel or
// redis+cluster; password-file=PATH may be among its parameters, and any that go-redis knows. An
// [*UnavailableError] may go away by itself; all others are for people to correct.
func Open(ctx context.Context, rawURL string, o Options) (*Quota, error) {
	t, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	return open(ctx, t, o)
}

func open(ctx context.Context, t *target, o Options) (*Quota, error) {
	if err := o.Settings.validate(); err != nil {
		return nil, err
	}
	client := t.connect()
	host, _ := os.Hostname()
	o.Host = cmp.Or(o.Host, host, "unknown")
	q := &Quota{
		target: t, options: o, client: client, id: newID(), started: time.Now(),
		ended: make(chan struct{}), nudge: make(chan struct{}, 1),
	}
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	q.mu.attached = map[*attachment]bool{}
	if err := q.settle(ctx); err != nil {
		q.cancel()
		_ = client.Close()
		return nil, err
	}
	return q, nil
}

// settle makes first contact.
func (q *Quota) settle(ctx context.Context) error {
	var err error
	for attempt := range 3 { // a server that was just started, or a packet that was lost
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(500 * time.Millisecond):
			}
		}
		if err = q.check(ctx); err == nil {
			_, err = q.call(ctx, openScript, "", q.options.Settings.args()...)
		}
		if gone := (*UnavailableError)(nil); !errors.As(err, &gone) {
			break
		}
	}
	if gone := (*UnavailableError)(nil); errors.As(err, &gone) &&
		q.options.Down == Local && q.options.LocalRate > 0 {
		q.mu.Lock()
		q.mu.view.settings, q.mu.unsettled = q.options.Settings, true
		q.mu.contact.fail(time.Now(), time.Now(), err)
		q.mu.Unlock()
		q.tell(Notice{Kind: Gone, Time: time.Now(), Err: err, Down: Local,
			Settings: q.options.Settings})
		return nil
	}
	if err != nil {
		return err
	}
	overruled, err := q.compare()
	if err == nil && overruled {
		q.tell(Notice{Kind: Overruled, Time: time.Now(), Settings: q.Settings(),
			Given: q.options.Settings})
	}
	return err
}

// Name returns the quota's name.
func (q *Quota) Name() string { return q.target.name }

// String returns the URL without its secrets.
func (q *Quota) String() string { return q.target.String() }

// Settings returns the settings in force that this process knows.
func (q *Quota) Settings() Settings {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.view.settings
}

// start begins to take part.
func (q *Quota) start() {
	q.begin.Do(func() {
		listening := make(chan struct{})
		go func() {
			defer close(listening)
			q.listen()
		}()
		go func() {
			defer close(q.ended)
			q.run()
			<-listening
		}()
	})
}

// wake has the next beat sent at once.
func (q *Quota) wake() {
	select {
	case q.nudge <- struct{}{}:
	default:
	}
}

// Close leaves the quota: what this process had is for the others from now on. Lease fails
// afterwards, and upstreams that are still attached send nothing any more where a limit is shared.
func (q *Quota) Close(ctx context.Context) error {
	q.mu.Lock()
	closed := q.mu.closed
	q.mu.closed = true
	q.mu.Unlock()
	if closed {
		return nil
	}
	q.cancel()
	began := true
	q.begin.Do(func() { began = false })
	var err error
	if began {
		<-q.ended
		_, err = q.call(ctx, leaveScript, q.id, q.letGo()...)
	}
	return errors.Join(err, q.client.Close())
}

// validName reports whether a name may be part of a key: all keys of a name must be in one slot of
// a cluster, which braces would change.
func validName(name string) bool {
	return name != "" && len(name) <= 100 && !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("-_.", r) &&
			(r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
