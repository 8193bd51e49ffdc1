package upstream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/throttle"
)

const tick = 50 * time.Millisecond

func testSet(limits throttle.Limits) *Set {
	transport := &throttle.Transport{Limits: limits}
	return &Set{
		Upstream: transport.Upstream,
		Whole:    func() bool { return false },
		End:      func(stop.Reason) {},
		Closed:   func(*Server, stop.ServerReason) {},
	}
}

func testServer(limits throttle.Limits, key string) *Server { return testSet(limits).Of(key) }

// A manifest may name any number of servers. One that gets no more of the run gets no more of it.
func TestServersAreForgotten(t *testing.T) {
	set := testSet(throttle.Limits{})
	key := func(i int) string { return fmt.Sprintf("http://h%d.example", i) }
	for i := range maxServers {
		if s := set.Of(key(i)); i%2 == 0 {
			set.Close(s, stop.RefusesAll{})
		}
	}
	for i := range maxServers / 4 {
		if s := set.Of(key(maxServers + i)); s != set.Of(s.Key) {
			t.Errorf("%s is forgotten at once", s.Key)
		}
	}
	if n := len(set.All()); n != maxServers {
		t.Errorf("%d servers are remembered", n)
	}
	for i := 0; i < maxServers; i += 2 {
		if set.Of(key(i)).Gone() == nil {
			t.Fatalf("%s gets items again", key(i))
		}
	}
}

func TestStreak(t *testing.T) {
	at := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		accepted, refused, row int
		together, cut, want    bool
	}{
		{row: 1, want: true},
		{accepted: 1, row: 3},
		{accepted: 1, row: 4, want: true},
		{accepted: 1, row: 1, cut: true, want: true},
		{accepted: 100, row: 1},
		{accepted: 100, row: 2, want: true},
		{accepted: 100, row: 64, together: true},
		{accepted: 80, refused: 20, row: 5},
		{accepted: 80, refused: 20, row: 6, want: true},
		{accepted: 10, refused: 90, row: 50},
	} {
		var s streak
		s.accepted, s.refused = float64(c.accepted), float64(c.refused)
		for i := range c.row {
			sent := at.Add(time.Duration(i) * time.Second)
			if c.together {
				sent = at
			}
			s.refuse(sent, sent.Add(time.Second), c.cut)
		}
		if got := s.isOutage(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
		before := s.refused
		s.accept()
		if got := s.refused > before; got == c.want {
			t.Errorf("%+v: of an outage %v refusals count", c, s.refused-before)
		}
	}
}

// Refusals are evidence of a limit if the server was up.
func TestPressed(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	ok := func(p *pressed, sent, now int) {
		p.note(Answer{Status: 200, Accepted: true,
			Sent: at(sent)}, at(now))
	}
	no := func(p *pressed, status, now int) {
		p.note(Answer{Status: status, Full: true, Sent: at(now)}, at(now))
	}
	for _, c := range []struct {
		name string
		do   func(p *pressed)
		want bool
	}{
		{"never refused", func(p *pressed) { ok(p, 1, 2) }, false},
		{"429", func(p *pressed) { no(p, 429, 1); ok(p, 2, 3) }, true},
		{"429, accepted before", func(p *pressed) { no(p, 429, 1); ok(p, 0, 3) }, false},
		{"503 once", func(p *pressed) { no(p, 503, 1); ok(p, 2, 3) }, false},
		{"503 twice", func(p *pressed) {
			for range 2 {
				no(p, 503, 1)
				ok(p, 2, 3)
			}
		}, true},
		{"down twice", func(p *pressed) {
			for range 2 {
				no(p, 503, 1)
				p.down = true
				ok(p, 2, 3)
			}
		}, false},
		{"no connection", func(p *pressed) {
			for range 3 {
				no(p, 0, 1)
				ok(p, 2, 3)
			}
		}, false},
	} {
		var p pressed
		c.do(&p)
		if got := p.shown(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A server that flaps is not said to be down and, in the same second, to answer again.
func TestTellsDown(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		down, told time.Duration // ago
		probe      time.Duration // until the next; 0: it is on its way
		want       bool
	}{
		{down: time.Second, told: time.Hour, probe: time.Second},
		{down: 2 * time.Second, told: time.Hour, want: true},
		{down: 9 * time.Second, told: 20 * time.Second, probe: 5 * time.Second},
		{down: 10 * time.Second, told: 20 * time.Second, probe: 5 * time.Second, want: true},
		{down: 10 * time.Second, told: 20 * time.Second, probe: 300 * time.Millisecond},
		{down: 10 * time.Second, told: 20 * time.Second},
		{down: 12 * time.Second, told: 20 * time.Second, want: true},
	} {
		stats := throttle.UpstreamStats{Phase: throttle.PhaseDown, Changed: now.Add(-c.down)}
		if c.probe > 0 {
			stats.Probe = now.Add(c.probe)
		}
		if got := tellsDown(stats, now.Add(-c.told), now); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// Only of a server that is down it is of interest that bytes still arrive there.
func TestReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := testSet(throttle.Limits{})
		set.Reaches = func(*Server, time.Time) bool { return true }
		server := set.Of("http://h.example")
		if got := set.Each(); len(got) != 1 || got[0].Reached {
			t.Fatalf("before anything is wrong: %+v", got)
		}
		for range 20 {
			permit, err := server.Acquire(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			permit.Done(throttle.Feedback{Signal: throttle.SignalOverloaded})
		}
		if server.Stats().Phase != throttle.PhaseDown {
			t.Fatalf("it is not down: %v", server.Stats().Phase)
		}
		for _, reached := range []bool{true, false} {
			set.Reaches = func(*Server, time.Time) bool { return reached }
			if got := set.Each(); got[0].Reached != reached {
				t.Errorf("down, and bytes arrive is %v: %+v", reached, got)
			}
		}
	})
}

func TestTellsPause(t *testing.T) {
	var set Set
	begin := time.Now()
	for _, c := range []struct {
		after, wait time.Duration
		quota, want bool
	}{
		{0, DownAfter, true, false},
		{0, time.Second, false, true},
		{time.Second, time.Hour, false, false},
		{NoticeEvery, DownAfter, true, false},
		{NoticeEvery, DownAfter + 1, true, true},
		{NoticeEvery + time.Second, time.Second, false, false},
	} {
		if got := set.tellsPause(begin.Add(c.after), c.wait, c.quota); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
