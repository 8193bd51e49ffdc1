// Package retry decides whether to send again, and after how long.
//
// [Client] is for HTTP: give it the [net/http.Client] that you have, and call Do. [Policy.Do] is
// for everything else. Both wait with full jitter under a true cap, never shorter than the server's
// Retry-After, and both end on the caller's context. Nothing here limits a rate: that is the
// transport's task, below. Whatever signs requests belongs below a limiter too, or signatures age
// in its queue.
//
// # What is sent again
//
// A request goes out again only where that is safe. Repeatable means GET, HEAD, PUT, DELETE,
// OPTIONS and TRACE (RFC 9110 section 9.2.2), or what [Client.Repeatable] says.
//
//	answer or error                           repeatable                  otherwise
//	2xx                                       delivered                   delivered
//	2xx before the body was sent whole        again, an attempt           unknown
//	dial failed or refused: nothing was sent  again, no attempt           again, no attempt
//	host unknown, certificate or protocol     failed, ErrUnreachable      failed, ErrUnreachable
//	  refused, no answer ever before
//	the same, after an answer                 again, no attempt           again, no attempt
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
//	"not before" errors (below)               again, no attempt           again, no attempt
//	cancelled in flight                       deferred                    unknown
//	cancelled while waiting                   deferred                    deferred
//
// Retry-After is the least time before the next try, whatever the status, if there is a next try. With
// 400, 401, 404, 405, 408, 409 to 415, 422, 501 and 505 it is about that one request. With any other
// refusal the server asks everybody to wait, and a limiter below, such as throttle.Transport, pauses.
//
// An upstream that refuses everybody, a quota that is used up, and a limit that many compete for are
// no fault of one request, so refusals cost no attempt; [Policy.GiveUpAfter] bounds them. The exception
// is a request that is itself the cause. A refusal counts against [Policy.Attempts] if the request
// was refused with the same status before and, of the requests of its kind that were sent since,
// some were accepted that had hardly been refused themselves: at most a tenth as often as they were
// accepted. A Retry-After changes nothing about that. Requests are of one kind that have the
// origin, the method and the credential in common, or what [Client.Key] says. So one file that a
// server always refuses fails while others are accepted, and also after the last of the others; an
// account whose quota is used up waits, whatever other accounts on the same host are allowed.
//
// Answers such as 500, and lost connections, are an attempt only if others of the request's kind that
// were sent after its previous failure were accepted. Otherwise the upstream accepts nothing at all,
// and they are refusals. They are attempts, too, where no other request fails and none was ever
// accepted, and so is a timeout that repeats while no other request fails. Ten minutes end a call where
// it is not known whether the request or the upstream is at fault: none was ever accepted, although
// several fail, or some were, but no other fails now.
//
// Whether bytes may have been sent is told by the hooks of [net/http/httptrace] that the transport
// called in this try. Where it called none, only an error of a dial, of DNS or of a certificate
// says that nothing was sent, and any other that something may have been. A [net/http.Transport]
// that is Client.HTTP's own is known to call them.
//
// A 2xx that comes before the last byte of the request's body was written waits for that, up to ten
// seconds. It does not count if the writing fails or does not end: such a server may have stored a
// part, and net/http closes the connection soon after an answer without a body. A transport that calls the
// GotConn hook has to call WroteRequest too; one that calls neither is taken to have sent everything.
//
// The head of an answer decides. Do returns when it has arrived, so an answer cut off after its 2xx
// head is delivered, and the error that the caller meets while reading the body changes nothing
// about that.
//
// # Not before
//
// An error of any other package with a method
//
//	RetryAt() time.Time
//
// means that nothing was sent, even if a connection was had, and that nothing will be before that
// instant. The zero time means never in this run: the call ends at once, deferred, and its error
// wraps this one. A limiter whose wait ends with the request's context returns one too, of the
// present instant, or a request that is not repeatable ends as unknown.
//
// # Proxies
//
// An error of any other package with a method
//
//	ProxyStatus() int
//
// says with which status a proxy refused to connect. 429 and 5xx are refusals, again at no attempt;
// any other, such as 407, has failed. Return one from [net/http.Transport.OnProxyConnectResponse]:
// net/http by itself tells no status, and its errors are taken for an outage.
//
// # Bodies
//
// A body is opened afresh with GetBody for each try; nothing is kept in memory to be sent again.
// Without GetBody a request with a body is sent once. [SetFileBody] makes a file such a body.
package retry
