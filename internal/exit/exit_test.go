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

func TestFirst(t *testing.T) {
	if status, reason := First(nil); status != Delivered || reason != nil {
		t.Errorf("without a reason: %d, %v", status, reason)
	}
	why := errors.New("why")
	for strong, weak := range map[int]int{Local: Interrupted, Interrupted: Failed, Failed: Refused, Refused: Unavailable, Unavailable: Limit, Limit: Items} {
		if status, reason := First(map[int]error{weak: errors.New("weak"), strong: why}); status != strong || reason != why {
			t.Errorf("of %d and %d counts %d, %v", strong, weak, status, reason)
		}
	}
}

func TestSignal(t *testing.T) {
	for signal, want := range map[os.Signal]int{os.Interrupt: Interrupted, syscall.SIGTERM: Terminated} {
		if e := (&Signal{signal}); e.Status() != want || e.Error() != Meaning(want) {
			t.Errorf("%v: %d, %v", signal, e.Status(), e)
		}
	}
}
