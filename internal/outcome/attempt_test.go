package outcome

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

func TestOf(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		name    string
		e       throttle.Event
		want    Attempt
		unknown bool
		says    string // what is set of the answer
	}{
		{"accepted", throttle.Event{Status: 201}, Accepted, false, "accepted"},
		{"accepted early", throttle.Event{Status: 201, Err: ErrEarly}, Errored, false, ""},
		{"accepted, and changed", throttle.Event{Status: 201, Err: body.ErrChanged}, Spoiled, false,
			"accepted"},
		{"changed", throttle.Event{Err: body.ErrChanged}, Spoiled, true, ""},
		{"too many", throttle.Event{Status: 429, Signal: throttle.SignalThrottled}, Throttled,
			false,
			"full"},
		{"overloaded", throttle.Event{Status: 503, Signal: throttle.SignalOverloaded}, Overloaded,
			false,
			"full"},
		{"late", throttle.Event{Status: 504, Signal: throttle.SignalTimedOut}, TimedOut, false, ""},
		{"broken", throttle.Event{Status: 500, Signal: throttle.SignalFailed}, Broken, false,
			"broken"},
		{"full disk", throttle.Event{Status: 507, Signal: throttle.SignalAnswered}, Broken, false,
			"item"},
		{"refused", throttle.Event{Status: 404, Signal: throttle.SignalAnswered}, Errored, false,
			"item"},
		{"no connection", throttle.Event{Err: dial, Signal: throttle.SignalOverloaded}, Overloaded,
			false, "full unopened"},
		{"lost", throttle.Event{Err: io.EOF, Signal: throttle.SignalIgnored}, Errored, false, ""},
	} {
		got, a, known := Of(c.e)
		var says []string
		for _, f := range []struct {
			name string
			is   bool
		}{
			{"accepted", a.Accepted}, {"full", a.Full}, {"broken", a.Broken},
			{"unopened", a.Unopened}, {"item", a.Item},
		} {
			if f.is {
				says = append(says, f.name)
			}
		}
		if got != c.want || known == c.unknown || strings.Join(says, " ") != c.says ||
			a.Status != c.e.Status {
			t.Errorf("%s: %d, %v, %+v", c.name, got, known, a)
		}
	}
}

// The answers of which twenty alike end a run are those that fail a file for good. The help names
// them.
func TestIsFinal(t *testing.T) {
	for status := 300; status <= 599; status++ {
		want := status <= 499 || status == 501 || 505 <= status && status <= 511
		if got := IsFinal(status, rules.None); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
		switch status {
		case 408, 409, 412, 413, 425:
			want = false
		}
		e := throttle.Event{Status: status, Signal: throttle.SignalAnswered}
		if got := IsFinalAtOnce(e, rules.None); got != want {
			t.Errorf("%d: at once %v, want %v", status, got, want)
		}
	}
	help := strings.Join(strings.Fields(exit.Help()), " ")
	want := "401, 402, 407 or 507, or twenty alike by another 3xx, 4xx, 501 or 505 to 511;"
	if !strings.Contains(help, want) {
		t.Errorf("the help does not say %q:\n%s", want, help)
	}
}

// What an attempt means depends on how much of a file that could not be sent may have arrived, and
// on who has the key that is in use.
func TestAnswered(t *testing.T) {
	conflict := &http.Response{StatusCode: http.StatusConflict}
	for _, c := range []struct {
		method string
		resp   *http.Response
		fault  error
		action retry.Action
		is     string
	}{
		{"PUT", nil, &body.ReadError{Err: syscall.EIO, Begun: true}, retry.Retry,
			"doubt fault"},
		{"POST", nil, &body.ReadError{Err: syscall.EIO, Begun: true}, retry.RetryIfSafe, "fault"},
		{"PUT", nil, body.ErrChanged, retry.Retry, "doubt fault"},
		{"POST", nil, body.ErrChanged, retry.RetryIfSafe, "fault"},
		{"PUT", nil, body.ErrMoved, retry.Retry, ""},
		{"POST", nil, body.ErrMoved, retry.Retry, ""},
		{"PUT", nil, &body.ReadError{Err: fs.ErrPermission}, retry.Fail, ""},
		{"POST", nil, &body.ReadError{Err: fs.ErrPermission}, retry.Fail, ""},
		{"PUT", conflict, nil, retry.Retry, "key"},
		{"POST", conflict, nil, retry.Default, ""}, // it has no key
		{"POST", &http.Response{StatusCode: http.StatusForbidden}, nil, retry.Default, ""},
		{"PUT", nil, nil, retry.Default, ""},
	} {
		var s Standing
		put := c.method == "PUT"
		v := s.Answered(Request{Method: c.method, Repeatable: put, Keyed: put}, c.resp, c.fault)
		if is := facts(&s, v.KeyInUse, "key"); v.Action != c.action || is != c.is {
			t.Errorf("%s, %v, %v: %v, %q", c.method, c.resp, c.fault, v.Action, is)
		}
		if v.Fault != nil && !errors.Is(c.fault, v.Fault) {
			t.Errorf("%v: it says %v", c.fault, v.Fault)
		}
	}
}
