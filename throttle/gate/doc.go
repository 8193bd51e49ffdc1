// Package gate limits what each client of an HTTP server may send: how many requests a second, and
// how many at once. It is the server's side of the package throttle.
//
// A [Gate] is a middleware:
//
//	g := &gate.Gate{Limits: gate.Limits{Rate: 10, InFlight: 4}}
//	http.Handle("/upload", g.Handler(upload))
//
// Requests count against a key, by default the client's address ([RemoteKey]). Behind a proxy use
// [ForwardedKey]; for users, return their names, but only from a header that was authenticated;
// otherwise clients escape the limit by inventing names. Handlers made by one Gate share its
// counts; classes of requests are kept apart by a Gate each. A limit over all keys together is a
// Gate whose Key returns a constant. Put it inside the Gate that limits each key, so that requests
// refused there do not count against the limit that all share.
//
// # The guarantee
//
// In any t seconds a key has at most rate·(t + c) + burst requests served, where c is 0.05 s, or a
// tenth of 1/rate where that is more. By c a request may be early, for jitter. With Weight the same
// holds for the tokens that requests cost, if none weighs more than the burst. The rate is enforced
// by the generic cell rate algorithm (ITU-T I.371, annex A).
//
// A request is in flight from its admission until its handler ends, in whichever way: it returns,
// it panics, its client is long gone. One that hijacked the connection stays in flight until the
// handler returns, not until the connection is closed.
//
// # Refusals
//
// Nothing waits in a Gate. A request over a limit is answered at once with 429 Too Many Requests
// (RFC 6585, section 4) and a Retry-After in seconds (RFC 9110, section 10.2.3). Over the rate,
// that is when the key's next token is due, rounded up: a client that comes back then is served,
// unless another with the same key was first. Over InFlight it is how long requests of the key take
// to serve, a fading mean, at least 1 s and at most 60.
//
// The body of a refused request is not read by the Gate. [net/http] reads up to 256 KiB of it
// before it answers, and closes the connection on one that is longer; a client that is still
// sending may then miss the answer, unless it sent Expect: 100-continue, on which it gets the
// answer and sends no body.
//
// # What clients are told
//
// Every answer to a request that is counted carries the fields of the limits that are set
// (draft-ietf-httpapi-ratelimit-headers-11), from which a client such as throttle.Transport learns
// its quota before it is refused:
//
//	RateLimit-Policy: "default";q=6000;w=600
//	RateLimit-Policy: "default-in-flight";q=4;qu="concurrent-requests"
//	RateLimit: "default";r=6000;t=600
//
// The window w is 600 s, or the time in which 100 tokens are refilled where that is longer, and q
// is what is refilled in it. RateLimit says that no more than r tokens are left for the next t
// seconds. The bucket refills continuously, so r is what will be served within t if sent evenly. It
// is slightly lower after an early request. A client that spreads r evenly over t, less what it has
// in flight, is not refused; one that sends r at once is. On a refusal it names the limit that was
// exceeded, with r=0. The burst is not counted in r.
//
// A handler that adds such fields of its own, as a reverse proxy does, sends both; one that sets
// them replaces those of the Gate.
//
// # Memory
//
// A Gate remembers at most 65,536 keys that have nothing in flight, in some 15 MB. Beyond that it
// forgets some, taken at random, which may then use their burst once more. No request is refused
// for lack of room. Of keys longer than 128 bytes it keeps a hash. It has no goroutine, and needs
// no Close. Counts are of one process: each server behind a load balancer applies the whole limit
// by itself.
package gate
