package plan

import (
	"cmp"
	"time"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/journal"
)

// Earliest returns how long it takes at least to send what was found, and what the reason is; "" if
// nothing limits that, or nothing is sent. It ignores waits that are longer than --max-wait:
// nothing is sent to such a server.
func (w *Work) Earliest(waits []journal.Wait, now time.Time) (d time.Duration, by string) {
	if w.Found.Items == 0 && !w.Found.Partial {
		return 0, ""
	}
	r := float64(cmp.Or(w.Limits.Rate, w.SharedRate))
	if waits := w.Found.Items - int64(max(w.Limits.Burst, 1)); r > 0 && waits > 0 {
		d, by = human.Seconds(float64(waits)/r), human.GivenRate(r)
		if w.Limits.Rate == 0 {
			by += " of all that share the quota"
		}
	}
	if b := float64(w.Limits.Bandwidth); b > 0 {
		if whole := human.Seconds(float64(w.Found.Bytes) / b); whole > d {
			d, by = whole, human.Speed(float64(b))
		}
	}
	for _, asked := range waits {
		wait := asked.Until.Sub(now)
		switch {
		case !w.WaitsUntil(asked.Until, now):
		case !w.Source.OwnURLs(): // there is no other server that gets items meanwhile
			return d + wait, "the wait that " + asked.Origin + " asked for"
		case wait > d:
			d, by = wait, "the wait that "+asked.Origin+" asked for"
		}
	}
	return d, by
}
