package status

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/upstream"
	"github.com/penstock/penstock/throttle"
)

// The log says in plain words what the throttle does.
func TestChangesOfPaceInWords(t *testing.T) {
	const few = 8
	for _, c := range []struct {
		e    throttle.Event
		want string
		more bool
	}{
		{throttle.Event{Phase: throttle.PhaseStarting, Limit: 2, Rate: rate.Inf,
			Reason: "accepted again"},
			"s: trying out what it takes: at most 2 in flight (it accepts again)", false},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: 3.96, Reason: "trim"},
			"s: pace adjusted: at most 8 in flight, 3.96 req/s (to waste fewer requests)", false},
		{throttle.Event{Phase: throttle.PhaseDown, Limit: math.MaxInt32, Rate: rate.Inf,
			Reason: "overloaded"},
			"s: one request at a time until it accepts again: no limit " +
				"(it was overloaded or could not be reached)", false},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: rate.Inf,
			Reason: "a reason of later"},
			"s: pace adjusted: at most 8 in flight (a reason of later)", false},
		{throttle.Event{Phase: throttle.PhaseFixed, Limit: few, Rate: rate.Inf},
			"s: fixed: at most 8 in flight", false},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: upstream.MostInFlight, Rate: 5,
			Reason: "throttled"}, "s: pace adjusted: 5 req/s (it refused: too many requests)",
			false},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: upstream.MostInFlight, Rate: 5,
			Reason: "throttled"}, "s: pace adjusted: 5 req/s (trying more)", true},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: 5, Reason: "quota"},
			"s: pace adjusted: at most 8 in flight, 5 req/s (by the quota that it states)", true},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: rate.Inf,
			Reason: "overloaded"}, "s: pace adjusted: at most 8 in flight (trying more)", true},
		{throttle.Event{Phase: throttle.PhaseSteady, Limit: few, Rate: 4, Reason: "overloaded"},
			"s: pace adjusted: at most 8 in flight, 4 req/s " +
				"(it was overloaded or could not be reached)", false},
	} {
		c.e.Key = "s"
		if got := PaceChanged(c.e, c.more); got != c.want {
			t.Errorf("it says %q, want %q", got, c.want)
		}
	}
}

// A pause is logged with its server, its reason and its end.
func TestPaused(t *testing.T) {
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, time.Local)
	for source, want := range map[string]string{
		"":                "s: paused for 5 s, without being asked to",
		"quota":           "our quota at s is used up for 5 s; paused until 22:00:05",
		"ratelimit-reset": "s asked us to wait 5 s (RateLimit-Reset); paused until 22:00:05",
	} {
		e := throttle.Event{Key: "s", Source: source, Until: now.Add(5 * time.Second)}
		if got := Paused(e, now); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

// A rate that was given and is not what the server takes is said at the end.
func TestGivenRateTooFast(t *testing.T) {
	for _, c := range []struct {
		given, taken float64
		want         string
	}{
		{4, 3, "the server takes 3/s, not 4/s: give --rps 3"},
		{4, 0, ""},
		{1000, 12.345, "the server takes 12.3/s, not 1,000/s: give --rps 12.3"},
		{2000, 1234.5, "the server takes 1,234/s, not 2,000/s: give --rps 1234"},
	} {
		var slower []upstream.Slower
		if c.taken > 0 {
			slower = []upstream.Slower{{Key: "http://127.0.0.1", Rate: c.taken}}
		}
		if got := strings.Join(TooFast(slower, true, c.given), "\n"); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	slower := []upstream.Slower{{Key: "http://b", Rate: 8}}
	for i := range 9 {
		slower = append(slower, upstream.Slower{Key: fmt.Sprintf("http://a%d", i), Rate: 4})
	}
	notes := TooFast(slower, false, 10)
	if len(notes) != 9 || notes[0] != "http://b takes 8/s, not 10/s" ||
		notes[8] != "2 more servers take less than 10/s" {
		t.Errorf("of ten servers it says %q", notes)
	}
}

// Names of packages go, and names of files that look like them stay.
func TestPlain(t *testing.T) {
	file := &fs.PathError{Op: "open", Path: "a: report: b", Err: fs.ErrNotExist}
	inner := fmt.Errorf("source: %w", file)
	for _, c := range []struct {
		err  error
		want string
	}{
		{file, "open a: report: b: file does not exist"},
		{inner, "open a: report: b: file does not exist"},
		{fmt.Errorf("--from: %w", inner), "--from: open a: report: b: file does not exist"},
		{fmt.Errorf("report: the results are incomplete: %w", inner),
			"the results are incomplete: open a: report: b: file does not exist"},
		{fmt.Errorf("%q: no such file", "a: journal: b"), `"a: journal: b": no such file`},
		{errors.Join(errors.New("retry: one"), errors.New("journal: two")), "one\ntwo"},
		{&secret.Error{Text: "PUT http://***: retry: it changed",
			Err: fmt.Errorf("PUT http://x: %w",
				errors.New("retry: it changed"))}, "PUT http://***: it changed"},
		{errors.New("retry: retry: twice"), "retry: twice"}, // a file that is called so, perhaps
	} {
		if got := Plain(c.err); got != c.want {
			t.Errorf("%q is %q, want %q", c.err, got, c.want)
		}
	}
}
