package order

import (
	"testing"
	"time"
)

func TestLater(t *testing.T) {
	var l Later[int]
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for i, at := range []time.Time{early, late, {}} {
		if !l.Add(i, at, true) {
			t.Errorf("%d is too much", i)
		}
	}
	if jobs, until := l.Take(); len(jobs) != 3 || !until.Equal(late) {
		t.Errorf("%v, until %v", jobs, until)
	}
	if jobs, until := l.Take(); jobs != nil || !until.IsZero() {
		t.Errorf("%v are left, until %v", jobs, until)
	}
	for i := range maxLater {
		l.Add(i, time.Time{}, true)
	}
	if l.Add(0, time.Time{}, true) || !l.Add(0, time.Time{}, false) {
		t.Error("optional jobs are bounded, others are not")
	}
}
