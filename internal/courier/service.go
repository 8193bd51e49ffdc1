// Package courier delivers requests that were stored to be sent later: to each server as many at a
// time as it takes, behind those whose clients wait, over outages and restarts, until each has
// ended. It knows nothing of clients: what it sends goes through [fair.Transport] as theirs does.
package courier

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/fair"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/retry"
)

// Options are those of a [Service]. Those of which no default is said must be set.
type Options struct {
	Store   *outbox.Store // is closed at the end; if nil, nothing is delivered
	Targets []Target
	Fair    *fair.Transport // sends; below it [Leaving] must be called
	Servers *upstream.Set   // is told by others how requests end
	Log     *slog.Logger
	Secrets *conceal.Set // that reasons must not show

	Keep     time.Duration // for how long results are kept
	Header   http.Header   // is set in what goes to the targets; if nil, nothing is
	Attempts int           // failures of one request until it has failed; 0: eight
	InOrder  bool          // as in the store's options: the log says what a failure holds up

	// Answered is called with each answer before it is read. If nil, it is not called.
	Answered func(*http.Request, *http.Response)
	// Ended is called with the state of each request that has ended.
	Ended func(outbox.State)
	// Failed is called with each request that has failed, or may have, in words, and why.
	Failed func(what, why string)
}

// A Target is a server that stored requests go to.
type Target struct {
	Name string                       // in the store
	Key  string                       // of its limits
	Aim  func(*httputil.ProxyRequest) // has a request go to it
	// Localise changes an answer before it is kept. If nil, it is kept as it came.
	Localise func(http.Header)
}

// A Service delivers what is stored. Its methods may be called concurrently. Use [New].
type Service struct {
	Options
	client   *retry.Client
	couriers []*courier // of each target
	ends     watchers
	tried    tried

	storeFault rate.Sometimes
	failures   rate.Sometimes
}

// New returns a service, which delivers nothing until it is started.
func New(o Options) *Service {
	s := &Service{Options: o, storeFault: rate.Sometimes{Interval: tell},
		failures: rate.Sometimes{First: 10, Interval: tell}}
	s.client = s.newClient()
	for _, t := range o.Targets {
		s.couriers = append(s.couriers, newCourier(s, t))
	}
	return s
}

const (
	tell      = 30 * time.Second // how often there is a line at most
	pruneEach = time.Hour
)

var errStopping = errors.New("the relay is stopping")

// Start begins to deliver what is stored, and returns what ends that, and closes the store. It is
// to be called once.
func (s *Service) Start(ctx context.Context) (end func()) {
	if s.Store == nil {
		return func() {}
	}
	s.tellStored(time.Now())
	ctx, cancel := context.WithCancelCause(ctx)
	var group sync.WaitGroup
	for _, c := range s.couriers {
		group.Go(func() { c.run(ctx) })
	}
	group.Go(func() { s.prune(ctx) })
	return func() {
		cancel(errStopping)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			group.Wait()
		}()
		select {
		case <-ended:
		case <-time.After(time.Second): // what cannot be written now would keep us
		}
		if err := s.Store.Close(); err != nil {
			s.Log.Error(status.Plain(err))
		}
		<-ended
	}
}

// prune forgets results that are old.
func (s *Service) prune(ctx context.Context) {
	for {
		if _, err := s.Store.Prune(time.Now().Add(-s.Keep)); err != nil &&
			!errors.Is(err, outbox.ErrClosed) {
			s.tellStore(err)
		}
		select {
		case <-time.After(pruneEach):
		case <-ctx.Done():
			return
		}
	}
}

// Wake has the service look for what may be sent now: something was stored, or freed.
func (s *Service) Wake() {
	for _, c := range s.couriers {
		c.poke()
	}
}

// Stop has nothing more be taken up. What is with a target may end there.
func (s *Service) Stop() {
	for _, c := range s.couriers {
		c.stop()
	}
	s.client.Stop(errStopping)
}

// Active returns how many stored requests are under way.
func (s *Service) Active() (n int) {
	for _, c := range s.couriers {
		n += c.under()
	}
	return n
}

// Flying returns how many stored requests are with their servers.
func (s *Service) Flying() (n int) {
	for _, c := range s.couriers {
		n += c.flying()
	}
	return n
}

// Held returns when the next request for a target is tried while all for it are held back; zero if
// they are not.
func (s *Service) Held(target string) time.Time {
	for _, c := range s.couriers {
		if c.t.Name == target {
			return c.heldUntil()
		}
	}
	return time.Time{}
}

// tellStore warns of a fault of the store, not too often.
func (s *Service) tellStore(err error) {
	s.storeFault.Do(func() { s.Log.Warn(status.Plain(err)) })
}

// tellStored says what earlier relays have left.
func (s *Service) tellStored(now time.Time) {
	st := s.Store.Stats()
	if n := st.Waiting; n > 0 {
		s.Log.Info(status.StoredWait(n, now.Sub(st.Oldest)))
	}
	if n := st.Failed + st.Unknown; n > 0 {
		s.Log.Info(status.StoredEnded(st.Failed, st.Unknown))
	}
	left := s.Store.Pending()
	for _, c := range s.couriers {
		delete(left, c.t.Name)
	}
	for name, n := range left {
		s.Log.Warn(status.StoredElsewhere(n, name))
	}
}
