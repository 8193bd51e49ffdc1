package retry

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Client sends HTTP requests, and sends them again where the table of the package comment says so.
// The zero value is usable. Its fields are not to be changed, nor the Client copied, after first
// use. It is safe for concurrent use, and made to be shared: what it remembers of requests of one kind
// tells a server that is down, or a quota that is used up, from a request that is at fault.
type Client struct {
	// HTTP makes each try. Nil: http.DefaultClient. It is never changed, and its idle connections
	// are left alone. Its Timeout holds for each try, not for the call; the time that a limiter in
	// its Transport takes counts, so rather set a timeout below that.
	HTTP *http.Client

	// Policy says how often and how long.
	Policy Policy

	// Classify judges a try before the table does. It is given either a response or an error, as
	// http.Client returned it, and leaves to the table what it returns the zero Verdict for. If it
	// reads from the response's Body it has to put a Body back that begins anew. It is not asked
	// about "not before" errors, nor after the caller's context has ended a try. Nil: the table.
	Classify func(*http.Request, *http.Response, error) Verdict

	// Repeatable reports whether processing a request twice does no harm. Nil: by its method (RFC
	// 9110 section 9.2.2).
	Repeatable func(*http.Request) bool

	// Key returns the kind of a request. A refusal counts as a failure of the request only where others
	// of its kind are accepted, so requests that share a quota should be of one kind, and those with
	// quotas of their own should not. If nil, requests are of one kind if they have scheme, host and
	// port, method, and credential in common: the headers that name an account, such as Authorization
	// (without a signature) and X-Api-Key, and the user of the URL. Set it where quotas go by path, or
	// where such a header differs from request to request. Of its results only hashes are kept.
	Key func(*http.Request) string

	// CrossOrigin allows redirects to lead to another scheme, host or port. From then on no
	// credential, cookie or header that is not about the content goes along. Otherwise such an
	// answer is returned as it is, as [Failed].
	CrossOrigin bool

	// Observe is told about each try, in the goroutine of the call, with no lock held. Nil: nobody is.
	Observe func(Event)

	mu struct {
		sync.Mutex
		origins  map[originKey]*origin
		kinds    map[kindKey]*kind
		stopping context.Context // done once Stop was called
		stop     context.CancelCauseFunc
	}
}

// Event is what one try led to.
type Event struct {
	Kind      EventKind
	Request   *http.Request // the caller's; its URL and headers may hold secrets
	Attempt   int           // of this try, from 1 on
	Status    int           // of its answer, be it a proxy's; 0 if there was none
	Err       error         // what went wrong, without secrets; nil if the call is delivered
	Outcome   Outcome       // of the call, once it has ended
	Wait      time.Duration // until the next try
	Until     time.Time     // when that will be; of a call that has ended, when to try again, if that is known
	Uncertain bool          // this try may have been processed, although no answer says so
	Reason    string        // a few words: "throttled", "overloaded", "unreachable", "timed out", "server error", …
}

// EventKind tells events apart.
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

// StandardClient returns an http.Client whose transport tries again, for code that can take nothing
// else. It has HTTP's cookie jar and this Client's rules for redirects. A Timeout set on it bounds
// a whole call, waits included. Its errors wrap an [*Error], but their text begins with the URL as
// net/http writes it, with its query.
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

// Stop ends all waits between tries, those that are on and those to come: the calls return,
// [Deferred] with err as the cause. Tries that are under way go on, and first tries are still made:
// stopping the transport is another's task. It cannot be undone. Nil means [ErrStopped].
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
	switch methodOf(req) {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	}
	return hasKey(req) // as net/http has it
}

func (c *Client) observe(e Event) {
	if c.Observe != nil {
		c.Observe(e)
	}
}
