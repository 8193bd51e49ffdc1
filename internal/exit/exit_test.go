package exit

import (
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

func TestSignal(t *testing.T) {
	for signal, want := range map[os.Signal]int{os.Interrupt: Interrupted,
		syscall.SIGTERM: Terminated} {
		if e := (&Signal{signal}); e.Status() != want || e.Error() != Meaning(want) {
			t.Errorf("%v: %d, %v", signal, e.Status(), e)
		}
	}
}
