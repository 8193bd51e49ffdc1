package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

// Each text is what is wrong, what to do, and for a proxy where its address comes from.
func TestCause(t *testing.T) {
	for _, row := range []struct {
		cause wire.Cause
		want  string
	}{
		{wire.Cause{Text: "x does not support TLS 1.2 or later", Fault: true},
			"x does not support TLS 1.2 or later"},
		{wire.Cause{Kind: wire.Refused, Text: "x refuses connections"},
			"x refuses connections: check that the server is running"},
		{wire.Cause{Kind: wire.Refused, Text: "the proxy p refuses connections",
			Culprit: "the proxy p"},
			"the proxy p refuses connections: check that it is running"},
		{wire.Cause{Kind: wire.NotConnected, Text: "no connection to x within 1 s"},
			"no connection to x within 1 s (--connect-timeout)"},
		{wire.Cause{Kind: wire.CertificateElsewhere, Text: "x requires a client certificate",
			Fault: true, Origin: "https://h"},
			"x requires a client certificate, and --cert is used for https://h only"},
		{wire.Cause{Kind: wire.ProxyCredentials, Text: "the proxy p answers 407", Fault: true,
			Culprit: "the proxy p"},
			"the proxy p answers 407: check the user name and password" +
				" in --proxy, HTTP_PROXY or HTTPS_PROXY"},
	} {
		if got := Cause(&row.cause); got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}

func TestAttempt(t *testing.T) {
	stalled := &wire.StallError{Limit: time.Minute, State: wire.NoAnswer}
	for _, row := range []struct {
		err                   error
		uncertain, perhapsTLS bool
		want                  string
	}{
		{errors.New("PUT http://h/: EOF"), true, true, "PUT http://h/: EOF"},
		{fmt.Errorf("PUT http://h/: %w", stalled), true, false,
			"PUT http://h/: the whole file was sent, and no answer came for 1 m: " +
				"if the server takes longer, raise --stall-timeout"},
		{fmt.Errorf("PUT http://h/: %w", stalled), false, false,
			"PUT http://h/: no byte moved for 1 m (--stall-timeout)"},
		{&wire.StallError{Limit: time.Minute, State: wire.EndlessHead}, true, false,
			"the headers of the answer were not complete within 1 m (twice --stall-timeout)"},
		{fmt.Errorf("PUT http://h/: %w", &wire.Cause{Kind: wire.SpeaksTLS, Text: "x speaks TLS"}),
			false, false,
			"PUT http://h/: x speaks TLS: use https://"},
		{&wire.Cause{Kind: wire.Closed, Text: "the server closed"}, true, false,
			"the server closed"},
		{&wire.Cause{Kind: wire.Closed, Text: "the server closed"}, true, true,
			"the server closed (if it speaks TLS, use https://)"},
		{fmt.Errorf("PUT http://h/: %w", patience(90*time.Second)), false, false,
			"PUT http://h/: the next attempt would be after --give-up-after 1 m 30 s"},
	} {
		if got := Attempt(retry.Result{Err: row.err, Uncertain: row.uncertain},
			row.perhapsTLS); got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}

// A patience is an error as retry's for a call that waits no longer.
type patience time.Duration

func (p patience) Error() string              { return fmt.Sprint("GiveUpAfter ", p.GiveUpAfter()) }
func (p patience) GiveUpAfter() time.Duration { return time.Duration(p) }

// What penstock broke off itself, or a server that closed an idle connection, is not a server that
// cannot be reached.
func TestTroubleOfOurOwn(t *testing.T) {
	denied := &body.ReadError{Err: item.ReadError(&fs.PathError{Op: "open", Path: "f",
		Err: fs.ErrPermission})}
	for _, c := range []struct {
		err     error
		outcome throttle.Signal
		want    string
	}{
		{body.ErrChanged, throttle.SignalIgnored, "the file changed while it was sent"},
		{fmt.Errorf("write: %w", body.ErrMoved), throttle.SignalIgnored,
			"the file changed before it was sent"},
		{&net.OpError{Op: "readfrom", Err: denied}, throttle.SignalIgnored,
			"the file cannot be read"},
		{&body.ReadError{Err: errors.New("it changes")}, throttle.SignalIgnored,
			"the file cannot be read"},
		{outcome.ErrEarly, throttle.SignalAnswered, "answered before the request was sent whole"},
		{context.Canceled, throttle.SignalIgnored, ""},
		{&net.DNSError{IsNotFound: true}, throttle.SignalOverloaded, "host not found"},
		{&net.DNSError{IsTimeout: true}, throttle.SignalOverloaded,
			"its name cannot be looked up"},
		{io.EOF, throttle.SignalIgnored, "connection lost"},
		{errors.New("http: server closed idle connection"), throttle.SignalIgnored,
			"connection lost"},
		{fmt.Errorf("read: %w", syscall.ECONNRESET), throttle.SignalOverloaded, "connection lost"},
		{errors.New("http: ContentLength=2 with Body length 1"), throttle.SignalIgnored,
			"broken off"},
		{errors.New("malformed HTTP response"), throttle.SignalFailed, "it cannot be reached"},
	} {
		if got := Trouble(throttle.Event{Err: c.err, Signal: c.outcome}); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
