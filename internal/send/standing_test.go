package send

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/resume"
)

// What a server may have of an item follows from what happened to it.
func TestStanding(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	events := map[string]func(*standing){
		"leave":        func(s *standing) { s.begin(now); s.noted = true },
		"leave later":  func(s *standing) { s.begin(now.Add(time.Hour)) },
		"refuse":       func(s *standing) { s.noted = s.noted && !s.refuse() },
		"uncertain":    (*standing).uncertain,
		"change":       (*standing).change,
		"spoil":        (*standing).spoil,
		"key in use":   func(s *standing) { s.conflict(false, false) },
		"PUT conflict": func(s *standing) { s.conflict(true, false) },
		"deny":         func(s *standing) { s.deny(2) },
		"deny again":   func(s *standing) { s.deny(5) },
		"insist":       (*standing).insist,
		"requeue":      func(s *standing) { s.postpone(false) },
		"ask later":    func(s *standing) { s.postpone(true) },
		"earlier":      func(s *standing) { s.Attempts = 1 },
		"earlier doubt": func(s *standing) {
			s.Past = resume.Past{Attempts: 1, Doubt: true, First: now, Key: "k"}
		},
	}
	for _, c := range []struct {
		events string // with "; " between them
		want   string // what is set
	}{
		{"", ""},
		{"leave", "first noted"},
		{"leave; leave later", "first noted"},
		{"leave; refuse", ""},
		{"leave; uncertain; refuse", "first doubt noted"},
		{"leave; uncertain; leave later; refuse", "first doubt noted"},
		{"leave; change", ""}, // nothing of it was accepted
		{"leave; uncertain; change", "older"},
		{"earlier; change", "older"},
		{"earlier doubt; change", "older"},
		{"earlier doubt; deny", "absent key"},
		{"earlier doubt; insist", "doubt key"},
		{"leave; uncertain; deny; deny again; leave", "first absent noted"},
		{"leave; spoil", "first older noted"},
		{"leave; key in use", "first doubt taken noted"},
		{"leave; PUT conflict", "first noted"},
		{"leave; uncertain; key in use", "first doubt noted"},
		{"leave; uncertain; requeue", "first doubt"},
		{"leave; uncertain; ask later", "first doubt ask"},
		{"leave; uncertain; ask later; change", "older"},
	} {
		var s standing
		for event := range strings.SplitSeq(c.events, "; ") {
			if event != "" {
				events[event](&s)
			}
		}
		var got []string
		for _, f := range []struct {
			name string
			is   bool
		}{
			{"first", !s.First.IsZero()}, {"doubt", s.Doubt}, {"taken", s.keyTaken},
			{"older", s.Older},
			{"ask", s.ask}, {"absent", s.absent}, {"noted", s.noted}, {"key", s.Key != ""},
		} {
			if f.is {
				got = append(got, f.name)
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.events, got, c.want)
		}
		if !s.First.IsZero() && !s.First.Equal(now) {
			t.Errorf("%s: the first attempt left at %v", c.events, s.First)
		}
		if s.absent && s.before != 2 {
			t.Errorf("%s: it was absent after %d attempts", c.events, s.before)
		}
	}
}

// A server is waited for three times where it does not say that it is still at work with a key.
func TestConflicts(t *testing.T) {
	var s standing
	for i := range 5 {
		if again := s.conflict(false, i == 4); again != (i < 2 || i == 4) {
			t.Errorf("after %d answers: %v", i+1, again)
		}
	}
}

func TestStandingJudges(t *testing.T) {
	for _, c := range []struct {
		s      standing
		status int
		fate   item.Fate
		want   item.Fate
		says   string
		older  bool
	}{
		{standing{}, http.StatusForbidden, item.Failed, item.Failed, "", false},
		{standing{}, http.StatusConflict, item.Failed, item.Failed, "", true},
		{standing{}, http.StatusPreconditionFailed, item.Failed, item.Failed, "", true},
		{standing{Past: resume.Past{Doubt: true}}, http.StatusConflict, item.Failed, item.Unknown,
			"; what the server has may be from an attempt before", false},
		{standing{Past: resume.Past{Doubt: true}, keyTaken: true}, http.StatusConflict,
			item.Failed, item.Unknown,
			"; another request with this idempotency key may have been accepted", false},
		{standing{Past: resume.Past{Doubt: true}}, http.StatusForbidden, item.Failed, item.Failed,
			"", false},
		{standing{Past: resume.Past{Doubt: true}}, http.StatusConflict, item.Deferred,
			item.Deferred, "", false},
	} {
		out := results.Result{Status: c.fate, HTTPStatus: c.status}
		c.s.judge(&out)
		if out.Status != c.want || out.Error != c.says || c.s.Older != c.older {
			t.Errorf("%+v after %d: %v, %q, older %v", c.s, c.status, out.Status, out.Error,
				c.s.Older)
		}
	}
}
