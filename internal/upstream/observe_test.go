package upstream

import (
	"testing"
	"time"

	"github.com/penstock/penstock/throttle"
)

// What requests in flight, those that net/http sends again and those that end mean for a set.
func TestObserve(t *testing.T) {
	begin := time.Unix(1000, 0)
	set := testSet(throttle.Limits{})
	type event = throttle.Event
	const a, b = "http://a", "http://b"
	const resent, refused = throttle.EventResent, throttle.SignalOverloaded
	for _, step := range []struct {
		second   int
		event    event
		heard    int // second
		inFlight int
		most     int
		known    int // servers
		failing  int // seconds that a has accepted nothing
	}{
		{1, event{Kind: throttle.EventSent, Key: a}, 1, 1, 1, 1, 0},
		{2, event{Kind: throttle.EventSent, Key: b}, 1, 2, 2, 2, 0},
		{3, event{Kind: throttle.EventChanged, Key: a}, 1, 2, 2, 2, 0},
		{4, event{Kind: resent, Key: a, Signal: throttle.SignalIgnored}, 1, 2, 2, 2, 0},
		{5, event{Kind: resent, Key: a, Signal: refused}, 1, 2, 2, 2, 0},
		{7, event{Kind: resent, Key: a, Signal: refused}, 1, 2, 2, 2, 2},
		{8, event{Kind: throttle.EventEnded, Key: a}, 8, 1, 2, 2, 3},
		{9, event{Kind: throttle.EventSent, Key: a}, 8, 2, 2, 2, 4},
		{10, event{Kind: throttle.EventEnded, Key: a}, 10, 1, 2, 2, 5},
		{11, event{Kind: throttle.EventEnded, Key: b}, 11, 0, 2, 2, 6},
		{15, event{Kind: throttle.EventSent, Key: b}, 15, 1, 2, 2, 10},
	} {
		now := begin.Add(time.Duration(step.second) * time.Second)
		set.Observe(step.event, now)
		heard := int(set.Heard().Sub(begin).Seconds())
		inFlight, most := set.InFlight()
		known := len(set.All())
		failing := int(set.Known(a).Spent(now).Seconds())
		if heard != step.heard || inFlight != step.inFlight || most != step.most ||
			known != step.known || failing != step.failing {
			t.Errorf("second %d: heard at %d; %d in flight, at most %d; %d servers; failing for %d s",
				step.second, heard, inFlight, most, known, failing)
		}
	}
	set.GiveUpAfter = 5 * time.Second
	if _, ends := set.GiveUp(begin.Add(15 * time.Second)); !ends {
		t.Error("requests that are refused again and again do not end the run")
	}
}

// A peak begins anew with what is in flight.
func TestPeak(t *testing.T) {
	now := time.Unix(1000, 0)
	set := testSet(throttle.Limits{})
	for i, step := range []struct{ sent, ended, want int }{
		{3, 2, 3}, {0, 0, 1}, {1, 2, 2}, {0, 0, 0},
	} {
		for range step.sent {
			set.Observe(throttle.Event{Kind: throttle.EventSent, Key: "http://a"}, now)
		}
		for range step.ended {
			set.Observe(throttle.Event{Kind: throttle.EventEnded, Key: "http://a"}, now)
		}
		if got := set.Peak(); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
}

// A pause that a server asks for is no failure, and is news where people are to be told.
func TestPaused(t *testing.T) {
	now := time.Unix(1000, 0)
	set := testSet(throttle.Limits{})
	s := set.Of("http://a")
	s.Judged(Answer{Status: 429, Sent: now}, now)
	e := throttle.Event{Key: s.Key, Until: now.Add(time.Second), Source: "quota"}
	if set.Paused(e, now) {
		t.Error("people are told of a quota that is soon renewed")
	}
	if e.Source = "retry-after"; !set.Paused(e, now) {
		t.Error("people are not told of a pause")
	}
	if spent := s.Spent(now.Add(time.Second)); spent != 0 {
		t.Errorf("the pause counts as %v", spent)
	}
}
