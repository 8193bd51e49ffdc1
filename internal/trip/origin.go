package trip

import (
	"net/http"
	"sync/atomic"
)

// ExpectsBeforeOff is how many times in a row an origin may ignore Expect: 100-continue before we
// stop sending it: each time costs a second, the timeout of net/http's default transport.
const ExpectsBeforeOff = 3

// An Origin is what the round trips to one origin know together. The zero value knows nothing; it
// is safe for concurrent use.
type Origin struct {
	answered       atomic.Bool  // there was an answer once, of whatever kind
	expectsIgnored atomic.Int32 // in a row
	protocol       atomic.Int32 // the major version of HTTP in the last answer; 0: there was none
}

// Answered reports whether there was any answer from the origin.
func (o *Origin) Answered() bool { return o.answered.Load() }

// Learn records an answer, and what the origin makes of a request that asked for a 100 Continue. An
// early refusal says nothing about an origin that ignores the question, nor does an error; only an
// acceptance without a 100 Continue proves that it came after the timeout.
func (o *Origin) Learn(status int, asked bool, seen Marks) {
	o.answered.Store(true)
	switch {
	case !asked:
	case seen&GotContinue != 0:
		o.expectsIgnored.Store(0)
	case status == http.StatusExpectationFailed:
		o.expectsIgnored.Store(ExpectsBeforeOff)
	case 200 <= status && status <= 299 && seen&waitedForContinue != 0:
		o.expectsIgnored.Add(1)
	}
}
