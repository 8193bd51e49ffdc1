package quota

import (
	"context"
	"math"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// find shares the rate that the upstream's server was found to allow, while no process gives one.
// A process that begins need not search for it, all have an equal part, and one at a time looks for
// more.
//
// A process with several upstreams takes no part: mostly each of them is another server.
func (q *Quota) find() {
	all := q.attachments()
	if len(all) != 1 || q.Settings().Rate > 0 {
		return
	}
	a := all[0]
	var own, change float64
	has := foundBy(a.upstream)
	switch {
	case has == 0:
	case a.expects == 0:
		own = has
	default:
		change = has - a.expects
	}
	got, err := q.call(q.ctx, foundScript, q.id, float(own), float(change), float(has))
	if err != nil || len(got.values) < 2 {
		return
	}
	each, err := strconv.ParseFloat(got.values[0], 64)
	if err != nil || !(each > 0) || math.IsInf(each, 1) {
		a.expects = has
		return
	}
	// One that looks for more goes on from what it has, unless others have found that to be little.
	const little = 0.95
	if looks := got.values[1] == "1"; !looks || has < little*each {
		a.upstream.Expect(rate.Limit(each))
	}
	a.expects = foundBy(a.upstream)
}

// foundBy returns the rate that an upstream has found, or 0. What the server states in its headers
// is known to all without us.
func foundBy(u Upstream) float64 {
	s := u.Stats()
	if !s.Learned || s.Rate == rate.Inf || s.Reason == "quota" {
		return 0
	}
	return float64(s.Rate)
}

// Found is the rate that was found by all processes together, where none was given.
type Found struct {
	Rate rate.Limit // requests a second; if zero, nothing was found
	At   time.Time
}

// Found asks the Redis server.
func (q *Quota) Found(ctx context.Context) (Found, error) {
	got, err := q.client.HMGet(ctx, q.target.keys[0], "found", "foundat").Result()
	if err != nil {
		return Found{}, q.target.explain(err)
	}
	var f Found
	for i, value := range got {
		text, _ := value.(string)
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || !(x > 0) || x > math.MaxInt64 {
			return Found{}, nil
		}
		if i == 0 {
			f.Rate = rate.Limit(x)
		} else {
			f.At = time.UnixMicro(int64(x))
		}
	}
	return f, nil
}

// float returns a number as the scripts take it.
func float(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
