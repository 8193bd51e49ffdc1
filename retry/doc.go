// Package retry decides whether to send again, and after how long.
//
// [Client] is for HTTP: give it the [net/http.Client] that you have, and call Do. [Policy.Do] is
// for everything else. Both wait with full jitter under a true cap, never shorter than the server's
// Retry-After, and both end with the caller's context. Nothing here limits a rate: that is the task
// of the transport below, such as throttle.Transport. Whatever signs requests belongs below such a
// limiter too, or signatures age in its queue.
//
// # What is sent again
//
// A request is sent again only if that is safe. A request is repeatable if its method is GET, HEAD,
// PUT, DELETE, OPTIONS or TRACE (RFC 9110 section 9.2.2), or if it has an Idempotency-Key, as in
// net/http; [Client.Repeatable] replaces that rule.
//
//	answer or error                           repeatable                  otherwise
//	2xx                                       delivered                   delivered
//	2xx before the body was sent whole        again, an attempt           unknown
//	dial failed or refused: nothing was sent  again, no attempt           again, no attempt
//	HTTP/2 server that says it did not        again, no attempt           again, no attempt
//	  process the request
//	host unknown, certificate or protocol     failed, ErrUnreachable      failed, ErrUnreachable
//	  refused, no answer ever before
//	an answer that is not HTTP, and none      failed, ErrUnreachable      unknown, ErrUnreachable
//	  ever before
//	host unknown or refused, after an answer  again, no attempt           again, no attempt
//	429, 503, 403 with a quota used up        again, no attempt           again, no attempt
//	another refusal with Retry-After, but     again, no attempt           again, no attempt
//	  those below
//	500, 502, 504, 512 to 599                 again, no attempt           unknown
//	  with Retry-After
//	408, 425                                  again, an attempt           again, an attempt
//	409, 413 with Retry-After                 again, an attempt           again, an attempt
//	500, 502, 504; reset or timeout           again, see below            unknown
//	  after bytes may have been sent
//	3xx that is not followed                  failed, names the new URL   failed, names the new URL
//	512 to 599, which gateways made up        again, see below            unknown
//	other 4xx and 5xx; 400, 401, 404, 405,    failed                      failed
//	  410 to 412, 414, 415, 422, 501 and
//	  505 also with Retry-After
//	the caller's own body cannot be read,     failed                      failed; unknown after
//	  or is not as long as ContentLength                                  bytes were sent
//	"not before" errors (below)               again, no attempt           again, no attempt
//	cancelled in flight                       deferred                    unknown
//	cancelled while waiting                   deferred                    deferred
//
// A repeatable request that has failed or was deferred may have been accepted all the same, at a
// try whose answer was lost. [Result].Uncertain reports that.
//
// Retry-After is the least time before the next try, whatever the status, if there is a next try.
// With 400, 401, 404, 405, 408, 409 to 415, 422, 501 and 505 it is about that one request. With any
// other refusal the server asks all clients to wait, and a limiter below, such as
// throttle.Transport, pauses.
//
// # What counts as an attempt
//
// A refusal says that the server is busy or a quota used up, not that the request is wrong. So it
// does not count as an attempt, and [Policy.GiveUpAfter] bounds how long a call is refused. There
// is one exception: a request that is refused while others of its kind are accepted (ten or more
// for each refusal of those others) is itself the cause, and its refusals count. They count from
// the second one with the same status on, whatever Retry-After says.
//
// Requests are of one kind if they have the origin, the method and the credential in common, or
// what [Client.Key] returns. So a file that a server always refuses fails while others are
// accepted, and also after the last of the others; an account whose quota is used up waits,
// whatever other accounts on the same host are allowed.
//
// Answers such as 500, and lost connections, are an attempt only if others of the request's kind
// that were sent after its previous failure were accepted. Otherwise the upstream accepts nothing
// at all, and they are refusals. They are attempts, too, if no other request fails and none was
// ever accepted, and so is a timeout that repeats while no other request fails. A call ends after
// ten minutes if it is not known whether the request or the upstream is at fault: none was ever
// accepted, although several fail, or some were, but no other fails now.
//
// # What may have arrived
//
// The hooks of [net/http/httptrace] that the transport calls during a try show whether bytes may
// have been sent. If it called none, only an error of a dial, of DNS or of a certificate proves
// that nothing was sent. A [net/http.Transport] that is Client.HTTP's own is known to call them.
//
// net/http sends some requests again by itself. It may do so where nothing was processed: with
// HTTP/1, of a request of which nothing was written to a kept connection; with HTTP/2, where the
// server refused the stream. The rest is left to the Client, counts as an attempt, and what the
// server says in the end does not remove the doubt ([Result].Uncertain):
//
//   - With HTTP/2 net/http also resends after a PROTOCOL_ERROR, which does not say that nothing was
//     processed. So a request with a body reaches the transport without its GetBody until the
//     server has answered by another protocol. The Client itself repeats it after a GOAWAY or
//     REFUSED_STREAM, at no attempt, and after the first GOAWAY at once.
//   - A request without a body that net/http is about to send on another connection of HTTP/2 is
//     not sent there: it is not known whether the reason is a GOAWAY or a PROTOCOL_ERROR. If it is
//     repeatable the Client sends it again, the first time at once. Otherwise it is [Unknown].
//   - With HTTP/1 net/http resends a GET, HEAD, OPTIONS or TRACE, or a request with an
//     Idempotency-Key, whenever a kept connection ends before an answer. Each of these counts as a
//     try, and [Policy].Attempts bounds how many there are. A request that is not repeatable is not
//     sent again: if the connection ends it is Unknown.
//
// An interim response (1xx) is no answer: the server works on the request, and may have processed
// it.
//
// A transport around net/http's own may send other requests within a try, or the same once more
// after an answer. One that sends a request again without an answer breaks these rules. So does one
// that sends a request without a body again on another connection of HTTP/2 after an answer with
// interim responses before it: no hook of httptrace shows that answer.
//
// A 2xx that comes before the last byte of the request's body was written waits for that, up to ten
// seconds. It does not count if the writing fails or does not end: such a server may have stored a
// part, and net/http closes the connection soon after an answer without a body. A transport that
// calls the GotConn hook has to call WroteRequest too; one that calls neither is assumed to have
// sent everything.
//
// Full-duplex requests, whose answer comes while the body is written, cannot wait. A
// [Client.StandardClient] returns the answer at once if the body's length is unknown and it has no
// GetBody, as with an [io.Pipe]; [OutcomeOf] then returns [Unknown] until the body was sent. With
// [Client.Do], let Classify return [Accepted] for such requests.
//
// The head of an answer decides. Do returns when it has arrived, so an answer that is cut off after
// its 2xx head is delivered, and an error while its body is read changes nothing about that. Close
// reads what is left of the body, up to 256 KiB and 50 ms, so that an HTTP/1 connection is used
// again.
//
// # Not before
//
// An error of any other package with a method
//
//	RetryAt() time.Time
//
// means that nothing was sent, even if there was a connection, and that nothing will be before that
// instant. The zero time means never in this run: the call ends at once, deferred, and its error
// wraps this one. A limiter must return such an error, with RetryAt in the present, also when the
// context ends while it waits. Otherwise a POST that was never sent counts as unknown.
//
// # Proxies
//
// An error of any other package with a method
//
//	ProxyStatus() int
//
// says with which status a proxy refused to connect. 429 and 5xx are refusals, again at no attempt;
// any other, such as 407, has failed. Return one from [net/http.Transport.OnProxyConnectResponse]:
// net/http by itself does not report the status, and its errors count as an outage.
//
// # Bodies
//
// A body is opened afresh with GetBody for each try; nothing is kept in memory to be sent again.
// Without GetBody a request with a body is sent once, and the error of a call that ends for that
// reason wraps [ErrNoGetBody]. Some libraries set no GetBody: aws-sdk-go-v2, for one, whose uploads
// a [Client.StandardClient] therefore does not retry. [SetFileBody] makes a file such a body.
//
// # Tests
//
// Everything here runs in [testing/synctest]: create the Client in the bubble that uses it, with a
// [net/http.RoundTripper] in place of the network. Policy{Base: 1, Factor: 1} makes the random
// waits one nanosecond long, so that each run takes the same time.
package retry
