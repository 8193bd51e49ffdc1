package send

import (
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
)

// Earliest returns how long it takes at least to send what was found, and what the reason is; "" if
// nothing limits that, or nothing is sent. It ignores waits that are longer than --max-wait:
// nothing is sent to such a server.
func (o Options) Earliest(waits []journal.Wait, now time.Time) (d time.Duration, by string) {
	if o.Found.Items == 0 && !o.Found.Partial {
		return 0, ""
	}
	if waits := o.Found.Items - int64(max(o.Limits.Burst, 1)); o.Limits.Rate > 0 && waits > 0 {
		d, by = human.Seconds(float64(waits)/float64(o.Limits.Rate)), human.GivenRate(float64(o.Limits.Rate))
	}
	if b := float64(o.Limits.Bandwidth); b > 0 {
		if whole := human.Seconds(float64(o.Found.Bytes) / b); whole > d {
			d, by = whole, human.Speed(float64(b))
		}
	}
	for _, w := range waits {
		wait := w.Until.Sub(now)
		switch {
		case !o.waitsUntil(w.Until, now):
		case !o.Source.OwnURLs(): // there is no other server that gets items meanwhile
			return d + wait, "the wait that " + w.Origin + " asked for"
		case wait > d:
			d, by = wait, "the wait that "+w.Origin+" asked for"
		}
	}
	return d, by
}
