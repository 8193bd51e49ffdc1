package outcome

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/retry"
)

// facts names what is set of a standing, and one fact more.
func facts(s *Standing, more bool, name string) string {
	var is []string
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"first", !s.past.First.IsZero()}, {"doubt", s.past.Doubt}, {"taken", s.keyTaken},
		{"older", s.past.Older}, {"ask", s.Asks()}, {"found", s.WasFound()},
		{"absent", s.WasAbsent(3)}, {"noted", s.IsNoted()}, {"key", s.past.Key != ""},
		{"arrived", s.past.Arrived}, {"fault", s.Fault() != nil}, {name, more},
	} {
		if f.is {
			is = append(is, f.name)
		}
	}
	return strings.Join(is, " ")
}

// What a server may have of an item follows from what happened to it.
func TestStanding(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	withdrawn := false
	conflict := &http.Response{StatusCode: http.StatusConflict}
	events := map[string]func(*Standing){
		"earlier": func(s *Standing) { s.Claimed(resume.Past{Attempts: 1}, false) },
		"earlier doubt": func(s *Standing) {
			s.Claimed(resume.Past{Attempts: 1, Doubt: true, First: now, Ended: now, Key: "k"}, true)
		},
		"keyed":      func(s *Standing) { s.Keyed("k") },
		"left":       func(s *Standing) { s.Begun(); s.Left(now) },
		"left later": func(s *Standing) { s.Begun(); s.Left(now.Add(time.Hour)) },
		"noted":      (*Standing).Noted,
		"refused":    func(s *Standing) { withdrawn = s.Refused() },
		"doubted":    (*Standing).Doubted,
		"changed":    func(s *Standing) { s.Looked(body.Look{Changed: true}, nil) },
		"touched":    func(s *Standing) { s.Looked(body.Look{Changed: true, Alike: true}, nil) },
		"earlier digest": func(s *Standing) {
			s.Claimed(resume.Past{Attempts: 1, Doubt: true, First: now, Ended: now, Key: "k",
				Sent: []byte("sum"), Arrived: true}, true)
		},
		"same":    func(s *Standing) { s.Looked(body.Look{Changed: true}, []byte("sum")) },
		"another": func(s *Standing) { s.Looked(body.Look{}, []byte("other")) },
		"unread":  func(s *Standing) { s.Looked(body.Look{}, nil) },
		"spoiled": func(s *Standing) {
			s.Answered(Request{Method: "PUT", Repeatable: true}, nil, body.ErrChanged)
		},
		"key in use": func(s *Standing) {
			s.Answered(Request{Method: "POST", Keyed: true}, conflict, nil)
		},
		"PUT conflict": func(s *Standing) {
			s.Answered(Request{Method: "PUT", Keyed: true}, conflict, nil)
		},
		"confirmed":    (*Standing).Confirmed,
		"denied":       func(s *Standing) { s.Denied(2) },
		"denied again": func(s *Standing) { s.Denied(5) },
		"insisted":     (*Standing).Insisted,
		"postponed":    func(s *Standing) { s.Postponed(time.Time{}) },
		"ask later":    func(s *Standing) { s.Postponed(now) },
		"failed":       func(s *Standing) { s.Ended(Call{Tries: 1}) },
	}
	for _, c := range []struct {
		events string // with "; " between them
		want   string // what is set
	}{
		{"", ""},
		{"keyed; left; noted", "first noted key"},
		{"left; noted; left later", "first noted"},
		{"left; noted; refused", "withdrawn"},
		{"left; refused", ""},
		{"left; noted; doubted; refused", "first doubt noted"},
		{"left; noted; doubted; left later; refused", "first doubt noted"},
		{"left; noted; changed", ""}, // nothing of it was accepted
		{"keyed; left; noted; doubted; changed", "older"},
		{"earlier; changed", "older"},
		{"earlier doubt", "first doubt ask key"},
		{"earlier doubt; changed", "older"},
		// It may be the same content, with another date.
		{"left; noted; touched", ""},
		{"keyed; left; noted; doubted; touched", "doubt older"},
		{"left; noted; key in use; touched", "doubt older"},
		{"earlier; touched", "older"},
		{"earlier doubt; touched", "doubt older ask"},
		{"earlier doubt; unread", "first doubt ask key"},
		// It is known whether it is.
		{"earlier digest; same", "first doubt ask key arrived"},
		{"earlier digest; same; same", "first doubt ask key arrived"},
		{"earlier digest; another", "older"},
		{"earlier digest; same; another", "older"},
		{"earlier digest; another; same", "older"},
		{"earlier digest; another; left; another", "first older"},
		{"earlier digest; unread", "doubt older ask"},
		{"earlier doubt; confirmed", "first doubt ask found key"},
		{"earlier doubt; denied", "absent key"},
		{"earlier doubt; insisted", "doubt key"},
		{"left; doubted; denied; denied again; left; noted", "first absent noted"},
		{"left; spoiled", "first doubt fault"},
		{"left; spoiled; left", "first doubt"},
		{"left; spoiled; failed", "first doubt older fault"},
		{"left; noted; key in use", "first doubt taken noted"},
		{"left; noted; PUT conflict", "first noted"},
		{"left; noted; doubted; key in use", "first doubt noted"},
		{"left; noted; doubted; postponed", "first doubt"},
		{"left; doubted; ask later", "first doubt ask"},
		{"left; doubted; ask later; changed", "older"},
	} {
		var s Standing
		withdrawn = false
		for event := range strings.SplitSeq(c.events, "; ") {
			if event != "" {
				events[event](&s)
			}
		}
		if got := facts(&s, withdrawn, "withdrawn"); got != c.want {
			t.Errorf("%s: %q, want %q", c.events, got, c.want)
		}
		if first := s.Past().First; !first.IsZero() && !first.Equal(now) {
			t.Errorf("%s: the first attempt left at %v", c.events, first)
		}
		if s.absent && s.WasAbsent(2) {
			t.Errorf("%s: it was absent after %d attempts", c.events, s.before)
		}
		if s.Asks() && s.Past().Key == "" && !s.Past().Ended.Equal(now) {
			t.Errorf("%s: the last attempt ended at %v", c.events, s.Past().Ended)
		}
	}
}

// A server is waited for three times where it does not say that it is still at work with a key.
func TestConflicts(t *testing.T) {
	var s Standing
	for i := range 5 {
		if again := s.conflicted(false, i == 4); again != (i < 2 || i == 4) {
			t.Errorf("after %d answers: %v", i+1, again)
		}
	}
}

func TestEnded(t *testing.T) {
	result := func(o retry.Outcome, status int, err error) retry.Result {
		return retry.Result{Outcome: o, Status: status, Err: err}
	}
	unread, unopened := &body.ReadError{Begun: true}, &body.ReadError{}
	unread.Err, unopened.Err = http.ErrBodyReadAfterClose, http.ErrBodyReadAfterClose
	doubted := Standing{past: resume.Past{Doubt: true}}
	taken := Standing{past: resume.Past{Doubt: true}, keyTaken: true}
	spoiled := Standing{fault: body.ErrChanged}
	for _, c := range []struct {
		name  string
		s     Standing
		call  Call
		want  End
		older bool
	}{
		{"delivered", doubted, Call{Result: result(retry.Delivered, 200, nil)},
			End{Fate: item.Delivered}, false},
		{"unknown", doubted, Call{Result: result(retry.Unknown, 500, nil)},
			End{Fate: item.Unknown}, false},
		{"forbidden", Standing{}, Call{Result: result(retry.Failed, 403, nil)},
			End{Fate: item.Failed}, false},
		{"forbidden, in doubt", doubted, Call{Result: result(retry.Failed, 403, nil)},
			End{Fate: item.Failed, Doubt: true}, false},
		{"conflict", Standing{}, Call{Result: result(retry.Failed, 409, nil)},
			End{Fate: item.Failed}, true},
		{"it is there", Standing{}, Call{Result: result(retry.Failed, 412, nil)},
			End{Fate: item.Failed}, true},
		{"conflict, in doubt", doubted, Call{Result: result(retry.Failed, 409, nil)},
			End{Fate: item.Unknown, Doubt: true, Rival: Earlier}, false},
		{"conflict for another's key", taken, Call{Result: result(retry.Failed, 409, nil)},
			End{Fate: item.Unknown, Doubt: true, Rival: Another}, false},
		{"conflict, later", doubted, Call{Result: result(retry.Deferred, 409, nil)},
			End{Fate: item.Deferred, Doubt: true}, false},
		{"later", Standing{}, Call{Result: result(retry.Deferred, 503, nil), Sent: true},
			End{Fate: item.Deferred}, false},
		{"refused for long enough", Standing{},
			Call{Result: result(retry.Deferred, 503, nil), Sent: true, Hopeless: true},
			End{Fate: item.Failed}, false},
		{"not sent yet", Standing{}, Call{Result: result(retry.Deferred, 0, nil), Hopeless: true},
			End{Fate: item.Deferred}, false},
		{"its key is forgotten", doubted,
			Call{Result: result(retry.Failed, 0, resume.ErrKeyForgotten)},
			End{Fate: item.Unknown}, false},
		{"changed", spoiled, Call{Result: result(retry.Failed, 0, nil), Tries: 1},
			End{Fate: item.Failed, Fault: body.ErrChanged}, true},
		{"changed, and broken off", spoiled,
			Call{Result: result(retry.Deferred, 0, nil), Tries: 1, Ending: true},
			End{Fate: item.Failed, Fault: body.ErrChanged}, true},
		{"changed, and unknown", spoiled, Call{Result: result(retry.Unknown, 0, nil), Tries: 1},
			End{Fate: item.Unknown, Fault: body.ErrChanged}, false},
		{"cannot be opened", Standing{}, Call{Result: result(retry.Failed, 0, unopened)},
			End{Fate: item.Failed, Fault: unopened}, false},
		{"cannot be read", Standing{}, Call{Result: result(retry.Deferred, 0, unread)},
			End{Fate: item.Failed, Fault: unread}, false},
		{"cannot be read, and broken off", Standing{},
			Call{Result: result(retry.Deferred, 0, unread), Ending: true},
			End{Fate: item.Deferred}, false},
		{"500 once", Standing{},
			Call{Result: retry.Result{Outcome: retry.Failed, Status: 500, Attempts: 1}},
			End{Fate: item.Failed}, false},
		{"500, then 403", Standing{},
			Call{Result: retry.Result{Outcome: retry.Failed, Status: 403, Attempts: 2}},
			End{Fate: item.Failed}, false},
		{"500, then again", Standing{},
			Call{Result: retry.Result{Outcome: retry.Failed, Status: 500, Attempts: 2}},
			End{Fate: item.Failed, Outage: true}, false},
		{"no answer, then again", doubted,
			Call{Result: retry.Result{Outcome: retry.Failed, Attempts: 2}},
			End{Fate: item.Failed, Outage: true, Doubt: true}, false},
		{"500, then a file that cannot be read", Standing{},
			Call{Result: retry.Result{Outcome: retry.Failed, Attempts: 2, Err: unopened}},
			End{Fate: item.Failed, Fault: unopened}, false},
		{"500, then no way to the server", Standing{}, Call{Result: retry.Result{
			Outcome: retry.Failed, Attempts: 2, Err: retry.ErrUnreachable}},
			End{Fate: item.Failed}, false},
		{"unreachable", Standing{}, Call{Result: result(retry.Deferred, 0, retry.ErrUnreachable)},
			End{Fate: item.Failed}, false},
		{"unreachable, and the run ends", Standing{},
			Call{Result: result(retry.Deferred, 0, retry.ErrUnreachable), Ending: true},
			End{Fate: item.Deferred}, false},
		{"unreachable, in doubt", Standing{},
			Call{Result: result(retry.Unknown, 0, retry.ErrUnreachable)},
			End{Fate: item.Unknown}, false},
	} {
		if got := c.s.Ended(c.call); got != c.want || c.s.Past().Older != c.older {
			t.Errorf("%s: %+v, older %v", c.name, got, c.s.Past().Older)
		}
	}
}
