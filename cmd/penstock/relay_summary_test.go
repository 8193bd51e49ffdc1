package main

import (
	"testing"
	"time"

	"github.com/penstock/penstock/internal/relay"
)

// The summary says of each request that was not answered why, and nothing of what there was none.
func TestRelaySummary(t *testing.T) {
	for want, s := range map[string]relay.Stats{
		"2 requests in 3 s: 2 answered. 2 requests to the server": {Requests: 2, Answered: 2,
			Sent: 2},
		"1 request in 3 s: 0 answered, 1 failed. 3 requests to the server, 2 of these repeated: " +
			"3 not answered (connection refused)": {Requests: 1, Failed: 1, Sent: 3, Repeated: 2,
			Troubles: map[string]int64{"not answered (connection refused)": 3}},
		"9 requests in 3 s: 0 answered, 3 not sent: they would have waited for too long, " +
			"4 not sent: the relay was stopping, 2 refused: not as the relay takes them": {
			Requests: 9, Refused: 9, Late: 3, Stopping: 4},
		"1 request in 3 s: 0 answered, 1 stored": {Requests: 1, Stored: 1},
		"0 requests in 3 s: 0 answered. Deliveries of stored requests: 3 done, " +
			"1 failed or in doubt. " +
			"5 requests to the server, 1 of these repeated": {StoredDelivered: 3, StoredFailed: 1,
			Sent: 5, Repeated: 1},
		"1 request in 3 s: 1 answered. 9 requests to the server, 8 of these repeated: " +
			"5 throttled (429), 2 not accepted (502), 1 overloaded (503)": {Requests: 1, Answered: 1,
			Sent: 9, Repeated: 8, Throttled: 5, Troubles: map[string]int64{"throttled (429)": 5,
				"overloaded (503)": 1, "not accepted (502)": 2}},
	} {
		s.Uptime = 3 * time.Second
		if got := summaryOf(s); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
