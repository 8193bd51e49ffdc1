package order

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
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
	if jobs, until := l.take(); len(jobs) != 3 || !until.Equal(late) {
		t.Errorf("%v, until %v", jobs, until)
	}
	if jobs, until := l.take(); jobs != nil || !until.IsZero() {
		t.Errorf("%v are left, until %v", jobs, until)
	}
	for i := range maxLater {
		l.Add(i, time.Time{}, true)
	}
	if l.Add(0, time.Time{}, true) || !l.Add(0, time.Time{}, false) {
		t.Error("optional jobs are bounded, others are not")
	}
}

// A returner records what is done with jobs. Those that are sent are left to the end again.
type returner struct {
	later Later[string]
	begin time.Time
	told  []string
}

func (r *returner) tell(what string, j string) {
	r.told = append(r.told, fmt.Sprintf("%v: %s %s", time.Since(r.begin), what, j))
}

func (r *returner) Wait(ctx context.Context) error { return ctx.Err() }
func (r *returner) Submit(ctx context.Context, j string) error {
	if ctx.Err() == nil {
		r.tell("send", j)
		r.later.Add(j, time.Time{}, true)
	}
	return ctx.Err()
}
func (r *returner) Settles(n int, wait time.Duration) {
	r.tell("settle", fmt.Sprintf("%d for %v", n, wait))
}
func (r *returner) InVain(j string) bool { return j == "down" }
func (r *returner) GiveBack(j string)    { r.tell("give back", j) }

// The end of a run waits until servers can be asked, sends each job for so many times, and gives
// back what is sent in vain.
func TestComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &returner{begin: time.Now()}
		r.later.Add("a", time.Now().Add(time.Second), true)
		r.later.Add("down", time.Time{}, true)
		r.later.Add("b", time.Now().Add(2*time.Second), true)
		settling := r.begin.Add(2 * time.Second)
		time.AfterFunc(time.Second, func() {
			if got := r.later.Settling(); !got.Equal(settling) {
				t.Errorf("settling until %v, want %v", got, settling)
			}
		})
		r.later.ComeBack(t.Context(), r)
		want := []string{"0s: settle 3 for 2s", "2s: send a", "2s: give back down", "2s: send b",
			"2s: send a", "2s: send b", "2s: send a", "2s: send b"}
		if !slices.Equal(r.told, want) {
			t.Errorf("%q, want %q", r.told, want)
		}
		if left := r.later.Take(); len(left) != 2 || !r.later.Settling().IsZero() {
			t.Errorf("%q are left; settling until %v", left, r.later.Settling())
		}
	})
}

// A run that ends does not wait, and gives back what is left.
func TestComeBackInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &returner{begin: time.Now()}
		r.later.Add("a", time.Now().Add(time.Hour), true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r.later.ComeBack(ctx, r)
		if want := []string{"0s: settle 1 for 1h0m0s", "1m0s: give back a"}; !slices.Equal(r.told,
			want) {
			t.Errorf("%q, want %q", r.told, want)
		}
	})
}
