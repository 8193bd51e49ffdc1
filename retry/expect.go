package retry

import "net/http"

// Expect: 100-continue (RFC 9110 section 10.1.1) asks before the body is sent. It saves a large
// body that would be refused, and it saves the answer: a server that refuses early and closes while
// we still write makes the kernel reset the connection, and the answer is lost with it. It matters
// on HTTP/1.1 and where the transport's ExpectContinueTimeout is above zero, as it is in net/http's
// default.

// expectFrom is the length from which on the question is worth its round trip: about what the
// socket buffers of both sides swallow (Linux grows them to 4 and 6 MiB). A smaller body is mostly
// written by the time the answer comes.
const expectFrom = 4 << 20

// expectsBeforeOff is how many questions in a row an origin may ignore, each at the cost of the
// transport's timeout, before none is asked.
const expectsBeforeOff = 3

// wantsExpect reports whether the next try asks.
func (c *call) wantsExpect() bool {
	return hasBody(c.req) && (c.req.ContentLength >= expectFrom || c.cutOff) && !c.unexpected &&
		c.origin.expectsIgnored.Load() < expectsBeforeOff && c.req.Header.Get("Expect") == ""
}

// learnExpect takes from the answer to a try that asked what the origin makes of it. An early
// refusal says nothing about an origin that ignores the question, nor does an error; only an
// acceptance without a 100 Continue proves that it came after the timeout.
func (c *call) learnExpect(status int, seen marks) {
	switch {
	case !c.expecting:
	case seen&gotContinue != 0:
		c.origin.expectsIgnored.Store(0)
	case status == http.StatusExpectationFailed:
		c.origin.expectsIgnored.Store(expectsBeforeOff)
	case 200 <= status && status <= 299 && seen&waitedForContinue != 0:
		c.origin.expectsIgnored.Add(1)
	}
}
