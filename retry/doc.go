// Package retry decides whether to send again, and after how long.
//
// [Client] is for HTTP: give it the [net/http.Client] that you have, and call Do. [Policy.Do] is
// for everything else. The random part of each wait is between zero and a cap, and comes on top of
// the server's Retry-After. Both end with the caller's context. Nothing here limits a rate: that is
// the task of the transport below, such as throttle.Transport. Programs that have a client of
// go-retryablehttp or use backoff/v4 get the same judgement and the same waits from
// [ConfigureRetryable] and [Policy.BackOff].
//
// A call is one Do. It makes attempts: each sends the request once. An attempt that is not accepted
// is a refusal, which says that the server is busy or cannot be reached, or a failure, which counts
// against [Policy].Attempts.
//
// # What is sent again
//
// A request is sent again only if that is safe. A request is repeatable if its method is GET, HEAD,
// PUT, DELETE, OPTIONS or TRACE (RFC 9110 section 9.2.2), or if it has an Idempotency-Key, as in
// net/http; [Client].Repeatable replaces that rule.
//
//	answer or error                           repeatable                  otherwise
//	2xx                                       delivered                   delivered
//	2xx before the body was sent whole        failure, again              unknown
//	dial failed or refused: nothing was sent  refusal, again              refusal, again
//	HTTP/2 server that says it did not        refusal, again              refusal, again
//	  process the request
//	host unknown, certificate or protocol     failed, ErrUnreachable      failed, ErrUnreachable
//	  refused, no answer ever before
//	an answer that is not HTTP, and none      failed, ErrUnreachable      unknown, ErrUnreachable
//	  ever before
//	host unknown or refused, after an answer  refusal, again              refusal, again
//	429, 503, 403 with a quota used up        refusal, again              refusal, again
//	500, 502, 504, 512 to 599                 refusal, again              unknown
//	  with Retry-After
//	408 (also with Retry-After), 425 without  failure, again              failure, again
//	  it; 409, 413 with it
//	another 4xx or 5xx with Retry-After that  refusal, again              refusal, again
//	  is not about the one request (below)
//	500, 502, 504, 512 to 599; reset or       see below, again            unknown
//	  timeout after bytes may have been sent
//	3xx that is not followed                  failed, names new URL       failed, names new URL
//	any other 4xx and 5xx                     failed                      failed
//	the caller's own body cannot be read,     failed                      failed; unknown after
//	  or is not as long as ContentLength                                  bytes were sent
//	"not before" errors (below)               refusal, again              refusal, again
//	cancelled in flight                       deferred                    unknown
//	cancelled while waiting                   deferred                    deferred
//
// A repeatable request that has failed or was deferred may have been accepted all the same, by an
// attempt whose answer was lost. [Result].Uncertain reports that.
//
// Retry-After is the least time before the next attempt, whatever the status, if there is one. With
// 400, 401, 404, 405, 408, 409 to 415, 422, 501 and 505 it is about the one request. With any other
// refusal the server asks all clients to wait, and a limiter below, such as throttle.Transport,
// pauses.
//
// # What counts as a failure
//
// A refusal does not count; [Policy].GiveUpAfter bounds how long a call is refused. Exception: a
// request that is refused while others of its kind are accepted (at least ten accepted for each one
// refused) is taken as the cause; its refusals count as failures. From the second refusal with the
// same status on they count, even with Retry-After.
//
// Requests are of one kind if they have the origin, the method and the credential in common, or
// what [Client].Key returns. So a file that a server always refuses fails while others are
// accepted, and also after the last of the others; an account whose quota is used up waits,
// whatever other accounts on the same host are allowed.
//
// Answers such as 500, and lost connections, are failures if others of the request's kind that were
// sent after its previous attempt were accepted. Otherwise it depends on whether any request of the
// kind was ever accepted, and whether others fail now. With the zero Policy:
//
//	answer                            accepted before  others fail  the call ends
//	500 and the like; lost            none             no           failed, after 8 attempts
//	  connections                     none             yes          deferred, after 10 minutes
//	                                  some             no           deferred, after 10 minutes
//	                                  some             yes          deferred, after an hour
//	a timeout that repeats            any              no           failed, after 8 attempts
//	429, 503, no connection           any              any          deferred, after an hour
//
// # What may have arrived
//
// The hooks of [net/http/httptrace] that the transport calls during an attempt show whether bytes
// may have been sent. If it called none, only an error of a dial, of DNS or of a certificate proves
// that nothing was sent. A [net/http.Transport] that is Client.HTTP's own is known to call them. An
// interim response (1xx) is no answer: the server may have processed the request.
//
// net/http sends some requests again by itself. The Client leaves that to it where nothing of the
// request was processed, prevents it otherwise, and then repeats the request itself if that is
// safe. What is left is HTTP/1, where net/http resends a GET, HEAD, OPTIONS or TRACE, or a request
// with an Idempotency-Key, whenever a kept connection ends before an answer. Each of these counts
// as an attempt that failed, Attempts bounds how many there are, and [Result].Uncertain stays true.
// A transport around net/http's own must not send a request again that had no answer.
//
// A 2xx that comes before the last byte of the request's body was written waits for that, up to ten
// seconds. It does not count if the writing fails or does not end: such a server may have stored a
// part. A transport that calls the GotConn hook has to call WroteRequest too; one that calls
// neither is assumed to have sent everything.
//
// Full-duplex requests, whose answer comes while the body is written, cannot wait. A
// [Client.StandardClient] returns the answer at once if the body's length is unknown and it has no
// GetBody, as with an [io.Pipe]; [OutcomeOf] then returns [Unknown] until the body was sent. With
// [Client.Do], let Classify return [Accept] for such requests.
//
// The head of an answer decides. Do returns when it has arrived, so an answer that is cut off after
// its 2xx head is delivered, and an error while its body is read changes nothing about that. Close
// reads what is left of the body, up to 256 KiB and 50 ms, so that an HTTP/1 connection is used
// again.
//
// # Not before, and proxies
//
// Errors of any other package may have one of two methods:
//
//	RetryAt() time.Time
//	ProxyStatus() int
//
// The first means that nothing was sent, even if there was a connection, and that nothing will be
// before that instant. The zero time means never in this run: the call ends at once, deferred, and
// its error wraps this one. An attempt that ends with such an error counts in [Result].Attempts,
// although nothing was sent. A limiter must return such an error, with RetryAt in the present, also
// when the context ends while it waits. Otherwise a POST that was never sent counts as unknown.
//
// The second returns the status with which a proxy refused to connect. 429 and 5xx are refusals;
// any other, such as 407, has failed. Return one from [net/http.Transport].OnProxyConnectResponse:
// net/http by itself does not report the status, and its errors count as an outage.
//
// # Bodies
//
// A body is opened afresh with GetBody for each attempt. Without GetBody a request with a body is
// sent once, and the error of a call that ends for that reason wraps [ErrNoGetBody]. [SetFileBody],
// [SetFormBody] and [SetBody] set one. [Client].Buffer keeps small bodies in memory, for libraries
// that set none: aws-sdk-go-v2 is one.
//
// # Order of layers
//
// A request passes the Client first, then the limiter, then whatever signs it, then the network:
//
//	retry.Client → throttle.Transport → signing transport → http.Transport
//
// The limiter may hold a request for minutes, so a signature that is made above it, also by
// [Client].Prepare, grows old in its queue. Put no second client that retries above or below this
// one: attempts multiply, and neither sees what the other does.
//
// # Stopping
//
// [Client.Stop] ends all waits and stops the transport below. The calls return [Deferred], requests
// in flight are finished, and nothing is lost: wait for the calls, and only then end their context,
// which would cut off what is in flight.
//
// # Tests
//
// Everything here runs in [testing/synctest]: create the Client in the bubble that uses it, with a
// [net/http.RoundTripper] in place of the network. Set Rand of the [Policy] to func() float64 {
// return 0.5 }, so that each run takes the same time, and a GiveUpAfter: against a server that
// never accepts anything a test would otherwise take an hour of fake time for each call. Do not
// make the waits as short as a nanosecond: fake time then hardly passes, and such a call does not
// end.
package retry
