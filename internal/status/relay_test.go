package status

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/throttle"
)

func TestUnavailable(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for want, s := range map[string]throttle.UpstreamStats{
		"":                            {Phase: throttle.PhaseHoldingBack, Changed: at},
		"the relay is paused by hand": {Paused: at, PauseSource: ByHand},
		"the quota at the server is used up until 2026-01-02T03:04:05Z": {Paused: at,
			PauseSource: "quota"},
		"the server asked for a wait until 2026-01-02T03:04:05Z (Retry-After)": {Paused: at,
			PauseSource: "retry-after", Phase: throttle.PhaseDown},
		"the server is given a rest until 2026-01-02T03:04:05Z (502)": {Paused: at},
		"the server has been down since 2026-01-02T03:04:05Z (502)": {Phase: throttle.PhaseDown,
			Changed: at},
	} {
		if got := Unavailable(s, "502"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What was not accepted is named by what has happened. What the server says of the request itself
// is not, nor what is the client's doing.
func TestRefusal(t *testing.T) {
	lost := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, c := range []struct {
		was  outcome.Attempt
		e    throttle.Event
		want string
	}{
		{outcome.Accepted, throttle.Event{Status: 200}, ""},
		{outcome.Errored, throttle.Event{Status: 404}, ""},
		{outcome.Throttled, throttle.Event{Status: 429}, "throttled (429)"},
		{outcome.Throttled, throttle.Event{Status: 403}, "throttled (403)"},
		{outcome.Overloaded, throttle.Event{Status: 503}, "overloaded (503)"},
		{outcome.Overloaded, throttle.Event{Status: 502}, "not accepted (502)"},
		{outcome.TimedOut, throttle.Event{Status: 504}, "not accepted (504)"},
		{outcome.Broken, throttle.Event{Status: 500}, "not accepted (500)"},
		{outcome.Overloaded, throttle.Event{Err: syscall.ECONNREFUSED},
			"not answered (connection refused)"},
		{outcome.Errored, throttle.Event{Err: lost, Signal: throttle.SignalIgnored},
			"not answered (connection lost)"},
		{outcome.TimedOut, throttle.Event{Err: errors.New("x"), Signal: throttle.SignalTimedOut},
			"not answered (no answer in time)"},
		{outcome.Errored, throttle.Event{Err: context.Canceled}, ""},
	} {
		if got := Refusal(c.was, c.e); got != c.want {
			t.Errorf("%v: %q, want %q", c.e, got, c.want)
		}
	}
}

func TestMisdirected(t *testing.T) {
	for want, c := range map[string]wire.Cause{
		"requests to http://h fail: it speaks TLS: use https:// in --to": {Kind: wire.SpeaksTLS,
			Text: "it speaks TLS"},
		"requests to http://h fail: the proxy p is not there: check the name in --proxy, " +
			"HTTP_PROXY or HTTPS_PROXY": {Kind: wire.NoSuchHost, Culprit: "the proxy p",
			Fault: true, Text: "the proxy p is not there"},
		"requests to http://h fail: it has expired: ask the owner of the server to renew it": {
			Kind: wire.CertificateExpired, Text: "it has expired"},
	} {
		if got := Misdirected("http://h", &c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The rate is over the time with traffic, and left out where it says nothing.
func TestRelayTraffic(t *testing.T) {
	for _, c := range []struct {
		answered         int64
		took             time.Duration
		learned, holding string
		want             string
	}{
		{1, 3 * time.Millisecond, "", "", "1 answer; 2 in flight, 3 waiting"},
		{500, 10 * time.Second, "learned 50 req/s", "held",
			"500 answers in 10 s, 50 req/s; 2 in flight, 3 waiting; learned 50 req/s; held"},
		{0, 5 * time.Second, "", "", "0 answers in 5 s; 2 in flight, 3 waiting"},
	} {
		if got := RelayTraffic(c.answered, c.took, 3, 2, c.learned, c.holding); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
