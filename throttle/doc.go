// Package throttle decides when each of many goroutines may send its next request, so that a server
// gets all that it permits and never more.
//
// Most programs want a [Transport]. Used as the Transport of an [http.Client], it paces requests,
// limits how many are in flight, and obeys Retry-After. Limits that are not set are learned from
// the responses. For other protocols an [Upstream] does the same with Acquire and Done. Its parts
// work alone: a [Bucket] for a rate, a [Bandwidth] for bytes a second. A [Gate] is the server's
// side: a middleware that refuses what is too much, with headers that a Transport understands.
//
// Under load they behave alike. Callers wait in the order in which they came; each waiting caller
// costs a parked goroutine and some 300 bytes. A caller whose context ends leaves at once and has
// used up nothing. A changed limit, a pause or its end also acts on callers that wait already.
// There is nothing to start and nothing to close.
//
// The package does not retry, and shares nothing between processes. Whether to send a request again
// is decided by the package retry, which goes above a Transport.
package throttle
