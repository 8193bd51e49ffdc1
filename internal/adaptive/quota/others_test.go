package quota

import (
	"math"
	"testing"
	"time"
)

// A stating is what an answer says of the window, counted from its begin.
type stating struct {
	at        time.Duration
	number    int64
	remaining int64
}

func stateAll(q *Quota, begin time.Time, limit int64, window time.Duration, all []stating) {
	for _, s := range all {
		at := begin.Add(s.at)
		q.Take([]Allowance{{Remaining: s.remaining, Reset: window - s.at%window, Limit: limit,
			Window: window}}, Answer{Number: s.number, Sent: at, Came: at}, s.number, 0)
	}
}

func TestOthers(t *testing.T) {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	const window = 10 * time.Second
	for _, test := range []struct {
		name   string
		stated []stating
		left   int
		rate   float64
	}{
		{"alone", []stating{{0, 1, 99}, {time.Second, 10, 90}}, 90, 10},
		{"one of two", []stating{{0, 1, 99}, {time.Second, 11, 79}},
			39, 79 * math.Pow(.5, evening) / 9},
		{"one of ten", []stating{{0, 1, 99}, {5 * time.Second, 6, 49}},
			4, 49 * math.Pow(.1, evening) / 5},
		// It is not known who took the first half, or whether it goes on.
		{"begins within a window", []stating{{5 * time.Second, 1, 50}}, 50, 10},
		{"alone in the rest", []stating{{5 * time.Second, 1, 50}, {6 * time.Second, 11, 40}},
			40, 10},
		// Half of what was seen before is forgotten with each 32 of ours.
		{"the other has gone", []stating{{0, 1, 99}, {time.Second, 11, 79},
			{2 * time.Second, 35, 55}, {3 * time.Second, 60, 30}},
			26, 30 * math.Pow(.86, evening) / 7},
		{"a new window", []stating{{0, 1, 99}, {9 * time.Second, 11, 9}, {window, 12, 99}},
			99, 9.9},
	} {
		var q Quota
		stateAll(&q, begin, 100, window, test.stated)
		last := test.stated[len(test.stated)-1]
		now := begin.Add(last.at)
		if left, rate := q.Left(last.number, now), q.RateAt(now); left != test.left ||
			math.Abs(rate-test.rate) > .1*test.rate {
			t.Errorf("%s: %d left, %.2f a second; want %d, %.2f", test.name, left, rate, test.left,
				test.rate)
		}
	}
}

// What is missing in a token bucket was not taken from what there was at first: here one of two
// takes a token a second of the two that come.
func TestOthersOfABucket(t *testing.T) {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var q Quota
	for i := range int64(100) {
		at := begin.Add(time.Duration(i) * time.Second)
		q.Take([]Allowance{{Remaining: 20 - i%3, Reset: 500 * time.Millisecond, Limit: 40,
			Window: 20 * time.Second}}, Answer{Number: i + 1, Sent: at, Came: at}, i+1, 0)
	}
	if q.others.windows {
		t.Error("a bucket was taken for one that has windows")
	}
}

func TestOthersOfStrangeAllowances(t *testing.T) {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, limit := range []int64{-1, 0, 1, math.MaxInt64} {
		for _, reset := range []time.Duration{1, time.Second, math.MaxInt64} {
			var q Quota
			for i, remaining := range []int64{math.MaxInt64, 0, 1, math.MaxInt64, 0} {
				at := begin.Add(time.Duration(i) * time.Millisecond)
				q.Take([]Allowance{{Remaining: remaining, Reset: reset, Limit: limit}},
					Answer{Number: int64(i), Sent: at, Came: at}, int64(i), 0)
				if rate := q.RateAt(at); !(rate > 0) || q.Left(int64(i), at) < 0 {
					t.Errorf("limit %d, reset %d: %v a second, %d left", limit, reset, rate,
						q.Left(int64(i), at))
				}
			}
		}
	}
}
