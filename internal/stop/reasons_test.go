package stop

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
)

func signalled(by os.Signal) Reason { return Interrupted{&exit.Signal{Signal: by}} }

// A status follows from each reason.
func TestExit(t *testing.T) {
	for _, c := range []struct {
		reason Reason
		want   int
	}{
		{signalled(os.Interrupt), exit.Interrupted},
		{signalled(syscall.SIGTERM), exit.Terminated},
		{Interrupted{errors.New("cancelled")}, exit.Interrupted},
		{Unreachable{}, exit.Unavailable},
		{Unreachable{&wire.Cause{}}, exit.Unavailable},
		{Unreachable{&wire.Cause{Fault: true}}, exit.Usage},
		{Unreached{Unreachable{&wire.Cause{Fault: true}}}, exit.Usage},
		{At{"h", RefusesAll{}}, exit.Refused},
	} {
		if got := c.reason.Exit(); got != c.want {
			t.Errorf("%v: %d, want %d", c.reason, got, c.want)
		}
		_, server := c.reason.(Unreachable)
		_, run := c.reason.(Unreached)
		if got := errors.Is(c.reason, retry.ErrUnreachable); got != (server || run) {
			t.Errorf("%v is ErrUnreachable: %v", c.reason, got)
		}
	}
}

// A sameStatus is another reason with the same status.
type sameStatus struct {
	Reason
	text string
}

func TestReasons(t *testing.T) {
	for _, c := range [][]Reason{ // the strongest last
		nil,
		{JournalFailed{errors.New("full")}},
		{LastRefused{}, MaxDuration{}, Unreached{Unreachable{&wire.Cause{Fault: true}}}, GaveUp{},
			RefusesAll{}, SourceFailed{Err: errors.New("gone")}},
		{RefusesAll{}, signalled(os.Interrupt)},
		{MaxDuration{}, signalled(syscall.SIGTERM)},
		{signalled(syscall.SIGTERM), signalled(os.Interrupt),
			ResultsFailed{Err: errors.New("full")}},
	} {
		begun, want := 0, Reason(nil)
		r := &Reasons{Begin: func() { begun++ }}
		if r.Cause() != nil {
			t.Errorf("a run that goes on is ending by %v", r.Cause())
		}
		for _, reason := range c {
			want = reason
			r.Add(reason)
		}
		if c != nil {
			r.Add(sameStatus{c[len(c)-1], "later"}) // the first one counts
			if cause := r.Cause(); !errors.Is(cause, Ending{c[0]}) || !errors.Is(cause, c[0]) {
				t.Errorf("of %v the cause is %v", c, cause)
			}
		}
		if got := r.Strongest(); got != want {
			t.Errorf("of %v counts %v", c, got)
		}
		if begun != min(1, len(c)) {
			t.Errorf("of %v the stop began %d times", c, begun)
		}
	}
}
