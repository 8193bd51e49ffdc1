// Package throttle tells many goroutines when each may send its next request,
// so that a server gets all that it permits and never more.
//
// Most programs want a [Transport]: one field of an [http.Client] gives every
// request of the program a steady pace, a ceiling of requests in flight, and
// the server's own wish to be left alone for a while. What it is not told it
// finds, from the answers: how many requests at once and how many a second are
// the most that the server takes. For other protocols an [Upstream] does the same
// behind Acquire and Done. Its parts work alone: a [Bucket] for a rate, a
// [Concurrency] for a number at once, a [Bandwidth] for bytes a second. A [Gate]
// is the server's side: a middleware that refuses what is too much, and says so
// in a way that a Transport makes the best of.
//
// Under load they behave alike: callers wait in the order in which they came,
// any number of them, at the price of a parked goroutine and some 300 bytes; a
// caller whose context ends leaves at once and has used up nothing; a changed
// limit, a pause or its end acts on those who already wait. There is nothing to
// start and nothing to close.
//
// The package does not retry, and shares nothing between processes. Whether to send a request again is the business of
// the package retry, which goes above a Transport.
package throttle
