package throttle

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/race"
)

// slidingOf answers as a server does that counts in a sliding window: of the window before, the part
// that one which ends now still covers.
func slidingOf(limit int, window time.Duration, reset func(now, end time.Time) []string) func(time.Time) *http.Response {
	var start time.Time
	var before, count float64
	return func(now time.Time) *http.Response {
		if current := now.Truncate(window); !current.Equal(start) {
			if before = 0; current.Sub(start) == window {
				before = count
			}
			start, count = current, 0
		}
		left := limit - int(math.Round(before*(1-now.Sub(start).Seconds()/window.Seconds())+count))
		status := http.StatusTooManyRequests
		if left > 0 {
			status = http.StatusOK
			count++
			left--
		}
		return answerWith(status, append(reset(now, start.Add(window)), "X-RateLimit-Limit", fmt.Sprint(limit), "X-RateLimit-Remaining", fmt.Sprint(left))...)
	}
}

func epochReset(now, end time.Time) []string {
	return []string{"Date", now.UTC().Format(http.TimeFormat), "X-RateLimit-Reset", fmt.Sprint(end.Unix())}
}

func delayReset(now, end time.Time) []string {
	return []string{"X-RateLimit-Reset", fmt.Sprint(math.Ceil(end.Sub(now).Seconds()))}
}

// A sliding window is used as one, also where it is told like one that begins anew.
func TestSlidingWindow(t *testing.T) {
	for i, test := range []struct {
		limit   int
		window  time.Duration
		latency time.Duration
		reset   func(now, end time.Time) []string
		share   float64 // of the limit, in sixty windows
		refused int     // at most
	}{
		{50, time.Second, 5 * ms, epochReset, .95, 0},
		{50, time.Second, 20 * ms, epochReset, .95, 0},
		{50, time.Second, 100 * ms, epochReset, .9, 0},
		{10, time.Second, 20 * ms, epochReset, .85, 0},
		{100, 10 * time.Second, 20 * ms, epochReset, .95, 0},
		{100, 10 * time.Second, 100 * ms, delayReset, .9, 1},
		{100, time.Minute, 100 * ms, delayReset, .95, 0},
		{1000, time.Minute, 100 * ms, delayReset, .95, 0},
	} {
		if race.Skips(i) {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(epoch) + 300*ms)
			s := &quotaServer{latency: test.latency, take: slidingOf(test.limit, test.window, test.reset)}
			s.load(t, 60*test.window)
			if got := float64(s.accepted) / float64(60*test.limit); got < test.share || s.refused > test.refused {
				t.Errorf("%d in %v, latency %v: %.3f of the limit, %d refused", test.limit, test.window, test.latency, got, s.refused)
			}
		})
	}
}

// Where others use up a window that begins anew, that costs a refusal at first, and hardly ever again.
func TestFixedWindowOfOthers(t *testing.T) {
	const limit, most = 50, 6
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(epoch) + 300*ms)
		rnd := rand.New(rand.NewPCG(1, 0))
		window, used, free := int64(0), 0, 0
		s := &quotaServer{latency: 5 * ms, take: func(now time.Time) *http.Response {
			if now.Unix() != window {
				window, used = now.Unix(), 0
				if rnd.IntN(10) == 0 {
					used = limit - 1
				}
				free += limit - used
			}
			status := http.StatusOK
			if used++; used > limit {
				status = http.StatusTooManyRequests
			}
			end := time.Unix(window+1, 0)
			return answerWith(status, append(epochReset(now, end), "X-RateLimit-Limit", fmt.Sprint(limit), "X-RateLimit-Remaining", fmt.Sprint(max(limit-used, 0)))...)
		}}
		s.load(t, 10*time.Minute)
		if s.accepted < free*95/100 || s.refused > most {
			t.Errorf("%d accepted of %d, %d refused", s.accepted, free, s.refused)
		}
	})
}
