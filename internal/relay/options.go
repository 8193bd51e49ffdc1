// Package relay is the engine of penstock relay: a server that passes requests on to a few named
// servers, at the pace that these take. Requests of many clients wait in one fair queue, are
// repeated where that is safe, and are answered in any case.
//
// What it has accepted it answers, or says that it could not. What a client does not wait for it
// stores on disk, and delivers over outages and restarts.
package relay

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/quota"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/throttle"
)

// Options are those of a [Relay]. Targets and Log must be set.
type Options struct {
	Targets []Target
	Header  http.Header // is set in what goes to the targets; if nil, nothing is
	Network wire.Network
	Limits  throttle.Limits // of each target

	// Quota is shared with other relays and runs, for all targets together. If nil, there is none.
	Quota *quota.Quota

	Attempts    int           // failures of one request until it has failed; 0: eight
	Timeout     time.Duration // of one attempt; 0: none
	GiveUpAfter time.Duration // for how long a target may refuse one request

	QueueWait     time.Duration // how long a request waits at most before it is sent
	QueueRequests int           // how many wait at most
	QueueBytes    int64         // bytes of bodies that those that wait have at most

	Spool *spool.Store // keeps bodies that may be sent again

	CacheBytes   int64         // for answers to GET and HEAD; 0: nothing is kept
	CacheTTL     time.Duration // how long an answer is fresh that does not say so; 0: it is not
	StaleIfError time.Duration // how long a stale answer may stand in for a target that is down

	// Store keeps requests that are sent later. Serve closes it. If nil, none is accepted. Its
	// Options must be those here.
	Store      *outbox.Store
	StoreBytes int64         // of all bodies in the store: one that is longer never fits
	Async      []string      // methods of which all requests are stored
	Idempotent bool          // give stored requests a key that makes it safe to repeat them
	InOrder    bool          // one after another for each client, also if one fails
	Keep       time.Duration // for how long results are kept

	Forwarded   bool          // tell targets of the client: X-Forwarded-For, -Host and -Proto
	Hosts       []string      // by which clients may call the relay, besides those of this machine
	StopTimeout time.Duration // for requests that were accepted, when the user stops the relay
	Stall       time.Duration // a client that sends or reads nothing for so long is given up

	JSON bool // write a line of JSON each second in place of lines for people
	Log  *slog.Logger
	// Lines gets the lines of JSON.
	Lines func(line []byte)
	// Show gets the state each second, in place of lines of the traffic. If nil, or with JSON, it
	// is not called. Delivered are answers there.
	Show func(progress.Snapshot)
}

// A Target is a server that requests go to.
type Target struct {
	Name string   // the first segment of the paths that go there; empty: the only target, all do
	URL  *url.URL // a request's path and query are added to its own
}
