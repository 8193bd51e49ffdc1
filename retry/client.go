package retry

import (
	"context"
	"net/http"
	"sync"

	"github.com/penstock/penstock/internal/blame"
	"github.com/penstock/penstock/internal/bounded"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/trip"
)

// Client sends HTTP requests, and repeats them as the table of the package comment says. The zero
// value is usable. Its fields must not be changed, nor the Client copied, after first use. It is
// safe for concurrent use, and should be shared: what it remembers of requests of one kind
// distinguishes a server that is down, or a quota that is used up, from a request that is at fault.
type Client struct {
	// HTTP makes each attempt. If nil, [http.DefaultClient]. It is never changed, and its idle
	// connections are left alone. Its Timeout holds for each attempt, not for the call, and
	// includes the time that the request waits in a limiter below: use throttle.Transport's
	// Timeout, which does not include that.
	HTTP *http.Client

	// Policy says how often and how long.
	Policy Policy

	// Buffer is how many bytes of a body without GetBody are kept in memory so that it can be sent
	// again. Such a body is read before the first attempt; one that turns out to be longer is sent
	// once. If zero, none is kept. A body that is written while the answer is read, such as a
	// pipe's, must not be buffered.
	Buffer int64

	// Prepare is called before each attempt with the request of that attempt, complete with its
	// body: it may set headers and change the URL's path and query, for example to sign the request
	// or to renew a token. It must not read or replace the body; GetBody returns another one. Its
	// error ends the call as [Failed], a "not before" error as [Deferred]. It is not called for
	// redirects to another origin. A limiter below may hold the request after this: what must not
	// grow old belongs in a transport below the limiter. If nil, requests are sent as they are.
	Prepare func(*http.Request) error

	// Classify judges an attempt before the table does. It is given either a response or an error,
	// as http.Client returned it; the zero Verdict leaves it to the table. If it reads from the
	// response's Body it must put a Body back that begins anew. It is not called for "not before"
	// errors, for errors of the request's own body, or after the caller's context has ended an
	// attempt. If nil, the table decides.
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

	// CrossOrigin allows redirects of all requests to lead to another scheme, host or port, but
	// from https to http only of a GET or HEAD without a body. From then on no credential, cookie
	// or header of your own goes along: only what says what the content is, conditions such as
	// If-None-Match, and an Idempotency-Key. To allow some hosts alone, have CheckRedirect of HTTP
	// return [http.ErrUseLastResponse] for all others. If false, only a GET or HEAD without a body
	// is redirected there, under the same rule; any other such answer is returned as it is, as
	// [Failed].
	CrossOrigin bool

	// Observe is called after each attempt, in the goroutine of the call, with no lock held. If
	// nil, it is not called.
	Observe func(Event)

	origins trip.Origins
	kinds   bounded.Map[blame.Key, blame.Kind]
	mu      struct {
		sync.Mutex
		stopping context.Context // done once Stop was called
		stop     context.CancelCauseFunc
	}
}

// maxKinds bounds what a Client remembers of kinds, at about 200 bytes each. To forget one costs
// little: what its requests went through since their last refusal counts for none of them.
const maxKinds = 8192

// Do sends req, as often as is useful and safe. When it gives up, it returns the last response, if
// there was one, with its body to be read and closed, and no error: look at the status, or at
// [OutcomeOf]. Otherwise it returns an [*Error]. A response with a 2xx status is always one that
// counts.
//
// req is not changed. Its Body is used for the first attempt and GetBody for the others; it is
// closed in any case.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	return c.do(req, *c.httpClient(), false)
}

// StandardClient returns an http.Client whose transport is this Client, for code that accepts
// nothing else. It has HTTP's cookie jar and this Client's rules for redirects; each redirect that
// it follows is a call of its own. HTTP's Timeout holds for each attempt; a Timeout set on the
// http.Client that is returned bounds a whole call, waits and redirects included. Its errors wrap
// an [*Error], but their text begins with the URL as net/http writes it, with its query.
//
// Its Transport may be used alone, as in an [net/http/httputil.ReverseProxy]. It follows no
// redirects and has no cookie jar: if an http.Client of your own is around it, that one's rules
// hold.
//
// A request with a body but without GetBody is sent once, unless Buffer is set; Observe and
// [OutcomeOf] report it with [ErrNoGetBody].
func (c *Client) StandardClient() *http.Client {
	return &http.Client{Transport: standard{c}, CheckRedirect: c.redirects().Follow,
		Jar: c.httpClient().Jar}
}

// standard keeps to the contract of http.RoundTripper: one hop, and a response or an error.
type standard struct{ client *Client }

func (s standard) RoundTrip(req *http.Request) (*http.Response, error) {
	hc := s.client.httpClient()
	// as in a proxy; http.Client, unlike a transport, minds it
	if req != nil && req.RequestURI != "" {
		req = req.WithContext(req.Context())
		req.RequestURI = ""
	}
	return s.client.do(req, http.Client{Transport: hc.Transport, Timeout: hc.Timeout}, true)
}

func (s standard) CloseIdleConnections() { s.client.httpClient().CloseIdleConnections() }

func (s standard) Stop(err error) { s.client.Stop(err) }

func (c *Client) httpClient() *http.Client {
	if c.HTTP == nil {
		return http.DefaultClient
	}
	return c.HTTP
}

func (c *Client) redirects() trip.Redirects {
	return trip.Redirects{Cross: c.CrossOrigin, Check: c.httpClient().CheckRedirect}
}

// Stop ends all waits between attempts, present and future: the calls return, [Deferred] with err
// as the cause. Then it calls Stop(err) of HTTP's transport if that has such a method, as
// throttle.Transport does, so that no request leaves any more. Attempts that are under way go on,
// and their answers count. Stop cannot be undone, and only the first one has an effect. If err is
// nil, it is [ErrStopped].
//
// A transport without Stop still makes the first attempt of each call. A throttle.Transport wrapped
// in another RoundTripper is not found: call its Stop yourself, after this.
func (c *Client) Stop(err error) {
	if err == nil {
		err = ErrStopped
	}
	c.stopping()
	c.mu.stop(err)
	// Last, so that a call whose wait is ending has the Client's cause and not a limiter's.
	if t, ok := c.httpClient().Transport.(interface{ Stop(error) }); ok {
		t.Stop(err)
	}
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
	return nethttp.Repeatable(req)
}

// kind returns what the requests of one kind with req know together.
func (c *Client) kind(req *http.Request) *blame.Kind {
	if c.Key != nil {
		return c.kinds.Of(blame.KeyOf(c.Key(req)), maxKinds)
	}
	return c.kinds.Of(blame.Of(req), maxKinds)
}
