package send

import (
	"testing"

	"golang.org/x/time/rate"
)

// A pace is announced in the unit that it can be given in.
func TestPaceInUnits(t *testing.T) {
	for _, c := range []struct {
		rate        rate.Limit
		says, given string
	}{
		{4, "4 requests/s", "4"},
		{1, "1 request/s", "1"},
		{0.5, "0.5 requests/s", "0.5"},
		{3000.0 / 60, "50 requests/s", "50"},
		{100.0 / 60, "100 requests/min", "100/min"},
		{1.0 / 60, "1 request/min", "1/min"},
		{10.0 / 3600, "10 requests/h", "10/h"},
		{1000.0 / 86400, "1000 requests/day", "1000/day"},
		{1e9, "1000000000 requests/s", "1000000000"},
		{rate.Limit(1.0 / (366 * 86400)), "0.002 requests/day", "0.002/day"},
		{10.123456, "10.123 requests/s", "10.123"},
	} {
		if got := pace(c.rate); got != c.says {
			t.Errorf("%v is %q, want %q", float64(c.rate), got, c.says)
		}
		if got := givenPace(c.rate); got != c.given {
			t.Errorf("%v is given as %q, want %q", float64(c.rate), got, c.given)
		}
	}
}
