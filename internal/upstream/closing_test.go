package upstream

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/throttle"
)

// What a server that gets no more means for the run.
func TestClosing(t *testing.T) {
	a, b := stop.InDoubt{}, stop.RefusesAll{Code: http.StatusForbidden}
	gone := stop.Unreachable{}
	for _, test := range []struct {
		name  string
		one   bool
		whole bool
		a, b  stop.ServerReason // why each is closed; if nil, b is not
		ends  []stop.Reason
		told  int
	}{
		{"the only one", true, false, a, nil, []stop.Reason{a}, 0},
		{"the only one, not reached", true, false, gone, nil,
			[]stop.Reason{stop.Unreached{Unreachable: gone}}, 0},
		{"one of two", false, true, a, nil, nil, 1},
		{"all so far", false, false, a, b, nil, 2},
		{"all", false, true, a, b, []stop.Reason{a, b}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ends []stop.Reason
			told := 0
			set := testSet(throttle.Limits{})
			set.One, set.Whole = test.one, func() bool { return test.whole }
			set.End = func(reason stop.Reason) { ends = append(ends, reason) }
			set.Closed = func(*Server, stop.ServerReason) { told++ }
			a, b := set.Of("http://a"), set.Of("http://b")
			set.Close(a, test.a)
			if test.b != nil {
				set.Close(b, test.b)
			}
			if !reflect.DeepEqual(ends, test.ends) || told != test.told {
				t.Errorf("ends by %v, and %d are told of; want %v, %d", ends, told, test.ends,
					test.told)
			}
		})
	}
}

// A server whose items come into doubt one after the other gets no more, and nor do those that wait
// for their turn.
func TestDoubtfulServerIsShut(t *testing.T) {
	set := testSet(throttle.Limits{})
	s := set.Of("http://a")
	for i := range manyAlike {
		if s.Gone() != nil {
			t.Fatalf("shut after %d items", i)
		}
		s.Doubt(time.Now().Add(time.Hour)) // later than the one before
	}
	if s.Gone() != (stop.InDoubt{}) {
		t.Errorf("gone: %v", s.Gone())
	}
	if _, err := s.Acquire(t.Context(), 1); err == nil {
		t.Error("a request gets its turn")
	}
}
