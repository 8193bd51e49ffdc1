package human

import (
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
)

// perSecond is the unit of a rate of requests.
const perSecond = " req/s"

// Rate writes a limit of requests a second that was found, with more digits than a measurement: "4
// req/s", "3.96 req/s". It rounds down: what is a little less than a round number is not to look
// like it.
func Rate(rate float64) string { return RateNumber(rate) + perSecond }

// RateNumber is Rate without the unit.
func RateNumber(rate float64) string {
	switch {
	case rate < 1:
		return strconv.FormatFloat(rate, 'g', 2, 64)
	case rate < 10:
		return humanize.FtoaWithDigits(rate, 2)
	case rate < 1000:
		return humanize.FtoaWithDigits(rate, 1)
	}
	return humanize.Comma(int64(rate))
}

// GivenRate writes a rate of requests that was given, exactly: "4 req/s", "10 req/h".
func GivenRate(rate float64) string {
	n, unit := inUnits(rate)
	return n + " req/" + unit
}

// RateFlag writes a rate of requests as a flag takes it: "4", "10/h".
func RateFlag(rate float64) string {
	n, unit := inUnits(rate)
	if unit == "s" {
		return n
	}
	return n + "/" + unit
}

// inUnits writes a rate by the shortest unit of time in which three decimals say it exactly: 10 an
// hour are no 0.003 a second.
func inUnits(rate float64) (n, unit string) {
	for _, u := range []struct {
		name    string
		seconds float64
	}{{"s", 1}, {"min", 60}, {"h", 3600}, {"day", 86400}} {
		exact := rate * u.seconds * 1000
		if u.seconds > 1 && exact > 1e8 {
			break // no user gives it so
		}
		if whole := math.Round(exact); whole >= 1 && math.Abs(exact-whole) < 1e-9*whole {
			return humanize.FtoaWithDigits(whole/1000, 3), u.name
		}
	}
	if rate < 1 {
		return humanize.FtoaWithDigits(rate*86400, 3), "day"
	}
	return humanize.FtoaWithDigits(rate, 3), "s"
}

// PerSecond writes a measured rate of what has that name: "4.2 files/s", or "4.2/s" without one.
func PerSecond(rate float64, name string) string {
	var text string
	switch {
	case rate >= 99.95:
		text = humanize.Comma(int64(rate + 0.5))
	case rate >= 0.995 || rate == 0:
		text = strconv.FormatFloat(rate, 'f', 1, 64)
	default:
		text = strconv.FormatFloat(rate, 'g', 2, 64)
	}
	if name != "" {
		text += " " + name
	}
	return text + "/s"
}
