package exit

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestMeanings(t *testing.T) {
	for _, s := range statuses {
		if meaning := Meaning(s.status); (meaning == "failed") != (s.status == Failed) {
			t.Errorf("%d means %q", s.status, meaning)
		}
	}
	if got := Meaning(99); got != "failed" {
		t.Errorf("an unknown status means %q", got)
	}
	for _, line := range strings.Split(Help(), "\n") {
		if len(line) > 86 {
			t.Errorf("a line of the help has %d columns: %s", len(line), line)
		}
	}
}

// No two reasons to end a run are equally strong.
func TestRanks(t *testing.T) {
	ranks := make(map[int]int)
	for _, s := range statuses {
		if other, ok := ranks[s.rank]; ok && s.rank > 0 {
			t.Errorf("%d and %d are equally strong", other, s.status)
		}
		ranks[s.rank] = s.status
	}
	if len(ranks) != 10 || ranks[1] != Local || ranks[9] != Items {
		t.Errorf("the ranks are %v", ranks)
	}
}

func TestReasons(t *testing.T) {
	weak, strong := errors.New("weak"), errors.New("strong")
	for _, c := range []struct {
		reasons []int // the strongest last
	}{
		{nil}, {[]int{Local}}, {[]int{Items, Limit, Usage, Unavailable, Refused, Failed}},
		{[]int{Refused, Interrupted}}, {[]int{Limit, Terminated}},
		{[]int{Terminated, Interrupted, Local}},
	} {
		begun, want, why := 0, Delivered, error(nil)
		r := &Reasons{Begin: func() { begun++ }}
		for i, status := range c.reasons {
			if i == len(c.reasons)-1 {
				want, why = status, strong
				r.Add(status, strong)
			}
			r.Add(status, weak)
		}
		if status, reason := r.Strongest(); status != want || reason != why {
			t.Errorf("of %v counts %d, %v", c.reasons, status, reason)
		}
		if begun != min(1, len(c.reasons)) || (r.Cause() == nil) != (c.reasons == nil) {
			t.Errorf("of %v the stop began %d times, by %v", c.reasons, begun, r.Cause())
		}
	}
}

func TestSignal(t *testing.T) {
	for signal, want := range map[os.Signal]int{os.Interrupt: Interrupted,
		syscall.SIGTERM: Terminated} {
		if e := (&Signal{signal}); e.Status() != want || e.Error() != Meaning(want) {
			t.Errorf("%v: %d, %v", signal, e.Status(), e)
		}
	}
}
