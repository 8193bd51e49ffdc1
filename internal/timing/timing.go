// Package timing says to a client what its request has waited for.
package timing

import (
	"strconv"
	"time"

	"github.com/penstock/penstock/internal/fair"
	"github.com/penstock/penstock/throttle"
)

// Value returns the value of Server-Timing (https://www.w3.org/TR/server-timing/): how long the
// request waited for its turn and what held it, how often it was sent, and how long the target
// took. If trace is nil, it is answered at once.
func Value(trace *fair.Trace) string {
	if trace == nil {
		return "queue;dur=0.0"
	}
	t := trace.Times()
	b := appendMilliseconds(append(make([]byte, 0, 96), "queue;dur="...), t.Queue)
	if held := longest(t.Waited); held != throttle.HoldingNone {
		b = strconv.AppendQuote(append(b, ";desc="...), held.String())
	}
	if t.Attempts > 0 {
		b = strconv.AppendInt(append(b, `, attempts;desc="`...), int64(t.Attempts), 10)
		b = appendMilliseconds(append(b, `", upstream;dur=`...), t.Upstream)
	}
	return string(b)
}

// longest returns the limit that held a request for the longest time.
func longest(w throttle.Waited) (held throttle.Holding) {
	most := time.Duration(0)
	for i, d := range [...]time.Duration{
		w.Rate, w.Concurrency, w.Bandwidth, w.CoolDown, w.Down, w.Quota,
	} {
		if d > most {
			held, most = throttle.HoldingRate+throttle.Holding(i), d
		}
	}
	return held
}

func appendMilliseconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 1, 64)
}
