// Package throttle decides when each of many goroutines may send its next request, so that a server
// gets all that it permits and hardly more.
//
// Most programs want a [Transport]. Used as the Transport of an [http.Client], it paces requests,
// limits how many are in flight, and obeys Retry-After. Limits that are not set are learned from
// the responses. For other protocols, such as gRPC, an [Upstream] does the same with Acquire and
// Done. Its parts work alone: a [Bucket] for a rate, a [Bandwidth] for bytes a second. The package
// throttle/gate is the server's side: it refuses what is too much, with headers that a Transport
// understands.
//
// Bucket, Bandwidth, Upstream and Transport behave alike under load. Callers wait in the order in
// which they came; each waiting caller costs a parked goroutine and less than a kilobyte. A caller
// whose context ends leaves at once and has used up nothing. A changed limit, a pause or its end
// also acts on callers that wait already. There is nothing to start and nothing to close. With a
// [Leaser] a call of its Lease may still be under way when no caller waits any more;
// [Upstream.Stop] ends its context.
//
// The package does not retry. Whether to send a request again is decided by the package retry,
// which goes above a Transport.
//
// # Several processes
//
// Limits are those of one process. Where several share what a server allows, a [Leaser] says at
// which instants each of them may send; see [Transport.LeaserFor] and [Upstream.SetLeaser]. A limit
// of requests in flight is divided by [Upstream.Cap], a cool-down that one process has heard of is
// passed on by [Upstream.Pause], and a rate that one has found by [Upstream.Expect]. What carries
// all that between them, such as a database, is up to the program: this package has the interface,
// and no network.
//
// # How many goroutines
//
// Start as many goroutines as the limit may become; 256 is fine. The Transport, not their number,
// decides how many requests leave. While UpstreamStats.Unclaimed grows, more of them would make use
// of more of the rate.
//
// # Stopping
//
// End the context with which work is submitted, then call [Transport.Stop]: callers that wait get a
// [*StopError] and have sent nothing, and what is in flight ends by itself. Where the package retry
// is above, its Client.Stop does both.
//
// # Signing
//
// What signs requests with the time (expiring tokens, HMAC, SigV4) belongs below the Transport,
// into its Base: above, signatures grow old while requests wait. If a library signs above, as the
// AWS SDK does, bound the wait by [Transport.MaxQueue], or acquire a permit before the library is
// called, which the request takes along; see [WithPermit].
//
// # Nesting
//
// To keep to one limit for a tenant and another for the host, put one Transport into the Base of
// another, and give the outer one Limits that are Fixed: it takes the queue of the inner one for
// the server, and would learn from it. [Transport.Timeout] belongs to the inner one.
//
// # Proxies
//
// Proxies, TLS and the like are set on Base. A proxy that refuses to connect counts as a server
// that is down, unless Base reports the status by an error with a method ProxyStatus() int; see the
// package retry.
//
// # Tests
//
// Everything here runs in testing/synctest: make Bucket, Upstream or Transport inside the bubble
// that uses it, and answer by an [http.RoundTripper] in place of the network, or by a server on
// net.Pipe. An hour of Retry-After then takes no time, and each run takes the same, as long as the
// fake server does not depend on the order in which goroutines arrive. A LimitsFor or Observe that
// blocks on something outside stops the bubble's clock.
package throttle
