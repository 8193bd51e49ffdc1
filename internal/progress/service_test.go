package progress

import "testing"

func TestServiceText(t *testing.T) {
	busy := Snapshot{Delivered: 1240, FilesPerSecond: 48.1, InFlight: 5, Waiting: 15,
		Limit: LimitRate, Holding: "the server takes no higher rate", Learned: Learned{Rate: 48.1}}
	for _, c := range []struct {
		s           Snapshot
		width       int
		first, then string
	}{
		{Snapshot{}, 80, "0 answers", ""},
		{busy, 80, "1,240 answers  48.1 req/s  5 in flight  15 waiting",
			"the server takes no higher rate  learned 48.1 req/s"},
		{busy, 40, "1,240 answers  48.1 req/s  15 waiting", "the server takes no higher rate"},
		{busy, 12, "15 waiting", "the serve..."},
	} {
		if got := answersText(c.s, c.width); got != c.first {
			t.Errorf("in %d columns %q, want %q", c.width, got, c.first)
		}
		if got := waitText(c.s, c.width); got != c.then {
			t.Errorf("in %d columns %q, want %q", c.width, got, c.then)
		}
	}
}
