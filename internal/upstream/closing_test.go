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

// Of a wait that is too long it is said whose it is.
func TestLeaveAlone(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for _, test := range []struct {
		name string
		do   func(s *Server)
		want stop.LeftAlone
	}{
		{"asked for now", func(s *Server) { s.Pause(until, "retry-after") },
			stop.LeftAlone{Source: "retry-after"}},
		{"a quota", func(s *Server) { s.Pause(until, "quota") },
			stop.LeftAlone{Source: "quota"}},
		{"asked for earlier", func(s *Server) { s.AskedEarlier(time.Now(), until) },
			stop.LeftAlone{Earlier: true}},
	} {
		set := testSet(throttle.Limits{})
		s := set.Of("http://a")
		test.do(s)
		set.LeaveAlone(s, until, time.Minute, "")
		got, ok := s.Gone().(stop.LeftAlone)
		if test.want.Until, test.want.MaxWait = until, time.Minute; !ok ||
			got.At.IsZero() || got.At.After(time.Now()) {
			t.Errorf("%s: gone: %#v", test.name, s.Gone())
		}
		if got.At = (time.Time{}); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
	var end stop.Reason
	set := testSet(throttle.Limits{})
	set.One, set.End = true, func(reason stop.Reason) { end = reason }
	set.LeaveAlone(nil, until, time.Minute, "hand") // by an item that has had no turn
	if why, ok := end.(stop.LeftAlone); !ok || why.Source != "hand" {
		t.Errorf("ends by %#v", end)
	}
}

// Of servers that are gone, those that refused everything are reasons to end.
func TestEndRefused(t *testing.T) {
	var ends []stop.Reason
	set := testSet(throttle.Limits{})
	set.End = func(reason stop.Reason) { ends = append(ends, reason) }
	refuses := stop.RefusesAll{Code: http.StatusForbidden, Items: 3}
	set.Close(set.Of("http://a"), stop.InDoubt{})
	set.Close(set.Of("http://b:80"), refuses)
	set.Of("http://c")
	set.EndRefused()
	want := []stop.Reason{stop.At{Host: "b:80", ServerReason: refuses}}
	if !reflect.DeepEqual(ends, want) {
		t.Errorf("ends by %v, want %v", ends, want)
	}
	if !set.RefusedAll(http.StatusForbidden) || set.RefusedAll(http.StatusUnauthorized) {
		t.Error("it is another status that all were refused by")
	}
}
