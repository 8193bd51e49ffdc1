package retry

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/nethttp"
)

// Client sends HTTP requests, and sends them again as the table of the package comment says. The
// zero value is usable. Its fields must not be changed, nor the Client copied, after first use. It
// is safe for concurrent use, and should be shared: what it remembers of requests of one kind
// distinguishes a server that is down, or a quota that is used up, from a request that is at fault.
type Client struct {
	// HTTP makes each try. If nil, [http.DefaultClient]. It is never changed, and its idle
	// connections are left alone. Its Timeout holds for each try, not for the call, and includes
	// the time that the request waits in a limiter below: use throttle.Transport's Timeout, which
	// does not include that.
	HTTP *http.Client

	// Policy says how often and how long.
	Policy Policy

	// Classify judges a try before the table does. It is given either a response or an error, as
	// http.Client returned it; the zero Verdict leaves it to the table. If it reads from the
	// response's Body it must put a Body back that begins anew. It is not called for "not before"
	// errors, for errors of the request's own body, or after the caller's context has ended a try.
	// If nil, the table decides.
	Classify func(*http.Request, *http.Response, error) Verdict

	// Repeatable reports whether processing a request twice does no harm. If nil, the method
	// decides (RFC 9110 section 9.2.2), and a request with an Idempotency-Key is repeatable.
	Repeatable func(*http.Request) bool

	// Key returns the kind of a request. A refusal counts as a failure of the request only if
	// others of its kind are accepted, so requests that share a quota should be of one kind, and
	// those with quotas of their own should not. If nil, requests are of one kind if they have
	// scheme, host and port, method, and credential in common: the headers that name an account,
	// such as Authorization (without a signature) and X-Api-Key, and the user of the URL. Set it if
	// quotas go by path, or if such a header differs from request to request. Only hashes of its
	// results are kept.
	Key func(*http.Request) string

	// CrossOrigin allows redirects of all requests to lead to another scheme, host or port. From
	// then on no credential, cookie or header that is not about the content goes along. Otherwise
	// only a GET or HEAD without a body is redirected there, under the same rule; any other such
	// answer is returned as it is, as [Failed].
	CrossOrigin bool

	// Observe is called after each try, in the goroutine of the call, with no lock held. If nil, it
	// is not called.
	Observe func(Event)

	mu struct {
		sync.Mutex
		origins  map[string]*origin
		kinds    map[kindKey]*kind
		stopping context.Context // done once Stop was called
		stop     context.CancelCauseFunc
	}
}

// Event describes what one try led to.
type Event struct {
	Kind    EventKind
	Request *http.Request // the caller's; its URL and headers may hold secrets
	Attempt int           // of this try, from 1 on
	Status  int           // of its answer, or of a proxy's; 0 if there was none
	Err     error         // what went wrong, without secrets; nil if the call is delivered
	Outcome Outcome       // of the call, once it has ended
	Wait    time.Duration // until the next try
	// when that will be; of a call that has ended, when to try again, if that is known
	Until     time.Time
	Uncertain bool   // this try may have been processed, although no answer says so
	Reason    string // a few words: "throttled", "unreachable", "server error", "body cannot be sent again", …
}

// EventKind is the kind of an [Event].
type EventKind int

const (
	Waiting EventKind = iota + 1 // the call is about to wait and to try again
	Ended                        // the call is over
)

// String returns "waiting" or "ended".
func (k EventKind) String() string {
	if k == Waiting {
		return "waiting"
	}
	return "ended"
}

// Do sends req, as often as is useful and safe. When it gives up, it returns the last response, if
// there was one, with its body to be read and closed, and no error: look at the status, or at
// [OutcomeOf]. Otherwise it returns an [*Error]. A response with a 2xx status is always one that
// counts.
//
// req is not changed. Its Body is used for the first try and GetBody for the others; it is closed
// in any case.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	return c.do(req, *c.httpClient(), false)
}

// StandardClient returns an http.Client whose transport tries again, for code that accepts nothing
// else. It has HTTP's cookie jar and this Client's rules for redirects; each redirect that it
// follows is a call of its own. A Timeout set on it bounds a whole call, waits included. Its errors
// wrap an [*Error], but their text begins with the URL as net/http writes it, with its query.
//
// A request with a body but without GetBody is sent once; Observe and [OutcomeOf] report it with
// [ErrNoGetBody].
func (c *Client) StandardClient() *http.Client {
	return &http.Client{Transport: standard{c}, CheckRedirect: c.checkRedirect, Jar: c.httpClient().Jar}
}

// standard keeps to the contract of http.RoundTripper: one hop, and a response or an error.
type standard struct{ client *Client }

func (s standard) RoundTrip(req *http.Request) (*http.Response, error) {
	hc := s.client.httpClient()
	return s.client.do(req, http.Client{Transport: hc.Transport, Timeout: hc.Timeout}, true)
}

func (s standard) CloseIdleConnections() { s.client.httpClient().CloseIdleConnections() }

func (c *Client) httpClient() *http.Client {
	if c.HTTP == nil {
		return http.DefaultClient
	}
	return c.HTTP
}

// Stop ends all waits between tries, present and future: the calls return,
// [Deferred] with err as the cause. Tries that are under way go on, and first tries are still made:
// to prevent those, stop the transport. Stop cannot be undone. If err is nil, it is [ErrStopped].
func (c *Client) Stop(err error) {
	if err == nil {
		err = ErrStopped
	}
	c.stopping()
	c.mu.stop(err)
}

// stopping returns a context that ends with Stop.
func (c *Client) stopping() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.stopping == nil {
		c.mu.stopping, c.mu.stop = context.WithCancelCause(context.Background())
	}
	return c.mu.stopping
}

func (c *Client) repeatable(req *http.Request) bool {
	if c.Repeatable != nil {
		return c.Repeatable(req)
	}
	return nethttp.Idempotent(req.Method) || nethttp.HasKey(req) // as net/http has it
}

func (c *Client) observe(e Event) {
	if c.Observe != nil {
		c.Observe(e)
	}
}
