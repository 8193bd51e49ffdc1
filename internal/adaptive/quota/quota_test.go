package quota

import (
	"math"
	"testing"
	"time"
)

// What is left of a window is spread over the rest of it, counting what was sent since.
func TestQuotaOfAWindow(t *testing.T) {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	var q Quota
	if rate := q.RateAt(begin); !math.IsInf(rate, 1) || q.Left(1, begin) != unbounded {
		t.Fatalf("before anything is stated: %v a second, %d left", rate, q.Left(1, begin))
	}
	stated := []Allowance{{Remaining: 52, Reset: 60 * time.Second, Limit: 60, Window: time.Minute}}
	q.Take(stated, Answer{Number: 8, Sent: at(0), Came: at(10)}, 10, 2)
	for _, test := range []struct {
		at   int // seconds
		sent int64
		rate float64
		left int
	}{
		{10, 10, 1, 50},
		{10, 30, 1, 30},
		{59, 60, 1, 0},
		{59, 61, 1, 0},
		{60, 60, 1, unbounded},
	} {
		now := at(test.at)
		if rate, left := q.RateAt(now), q.Left(test.sent, now); rate != test.rate ||
			left != test.left {
			t.Errorf("after %d s and %d requests: %v a second, %d left; want %v, %d", test.at,
				test.sent, rate, left, test.rate, test.left)
		}
	}
	if until := q.UsedUp(1, 60, at(59)); !until.IsZero() {
		t.Errorf("while one is in flight, nothing may be sent until %v", until)
	}
	if until := q.UsedUp(0, 60, at(59)); !until.Equal(at(60)) || !q.Ends().Equal(at(59)) {
		t.Errorf("used up until %v, and the window ends at %v", until, q.Ends())
	}
}
