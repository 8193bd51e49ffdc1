package board

import (
	"testing"
	"time"
)

func TestSentence(t *testing.T) {
	two := []Upstream{{InFlight: 9, Waiting: 2}, {InFlight: 3, Waiting: 1}}
	for _, c := range []struct {
		want string
		s    State
	}{
		{"No request is under way.", State{}},
		{"No request is under way; paused by hand.", State{Paused: true}},
		{"12 requests in flight, 3 waiting; nothing holds it back.", State{Upstreams: two}},
		{"12 requests in flight, 1,234 waiting; held by your --rps 4.",
			State{Upstreams: two, Queue: &Queue{Waiting: 1234}, Holding: "held by your --rps 4"}},
		{"12 requests in flight, 3 waiting; stopping, nothing new is taken.",
			State{Upstreams: two, Draining: true}},
		{"1,200 of at least 5,000 files delivered; paused 12 s: Retry-After.",
			State{Items: &Items{Delivered: 1200, Total: 5000},
				Holding: "paused 12 s: Retry-After"}},
		{"7 of 10 files delivered, 1 skipped, 1 failed, 1 unknown, about 1 m 5 s left; nothing " +
			"holds it back.", State{Items: &Items{Total: 10, Known: true, Delivered: 7, Skipped: 1,
			Failed: 1, Unknown: 1, Left: 65}}},
		{"It has ended: 1 of 1 file delivered.", State{Ended: time.Now(), Holding: "old",
			Items: &Items{Total: 1, Known: true, Delivered: 1, Left: 65}}},
		{"1 request in flight, 0 waiting; paused: ?.",
			State{Upstreams: []Upstream{{InFlight: 1}}, Holding: "paused: \u202e"}},
	} {
		if got := c.s.Sentence(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
