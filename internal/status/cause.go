package status

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/resume"
	"github.com/penstock/penstock/internal/stop"
	"github.com/penstock/penstock/internal/wire"
	"github.com/penstock/penstock/retry"
	"github.com/penstock/penstock/throttle"
)

const inProxy = " in --proxy, HTTP_PROXY or HTTPS_PROXY"

// advice is what to do about a cause, as it follows what is wrong.
var advice = map[wire.Kind]string{
	wire.NoSuchHost:           ": check the name",
	wire.NoNameServer:         ": check the name server",
	wire.Refused:              ": check that the server is running",
	wire.NotConnected:         " (--connect-timeout)",
	wire.SpeaksHTTP:           ": use http://",
	wire.SpeaksNoTLS:          ": check the port, or use http://",
	wire.SpeaksTLS:            ": use https://",
	wire.SpeaksNoHTTP:         ": check the port",
	wire.SpeaksNoSOCKS:        ": check the scheme and the port",
	wire.ProxyCredentials:     ": check the user name and password",
	wire.CertificateRequired:  ": give one with --cert and --key",
	wire.CertificateElsewhere: ", and --cert is used for %s only",
	wire.CertificateRejected:  " given with --cert",
	wire.HandshakeFailed: ": it may require a client certificate (--cert), " +
		"or support no secure cipher",
	wire.CertificateNoNames:  ": ask the owner of the server to replace it",
	wire.CertificateNames:    ": use that name in the URL",
	wire.CertificateUnknown:  ": if you trust it, give its issuer's certificate with --cacert",
	wire.CertificateTooEarly: ": check this machine's clock",
	wire.CertificateExpired:  ": ask the owner of the server to renew it",
}

// Cause says what is wrong on the way to a server, and what to do about it.
func Cause(c *wire.Cause) string {
	text := advice[c.Kind]
	switch {
	case c.Kind == wire.CertificateElsewhere:
		text = fmt.Sprintf(text, c.Origin)
	case c.Kind == wire.Refused && c.Culprit != "":
		text = ": check that it is running"
	}
	if text = c.Error() + text; c.Culprit != "" && c.Fault {
		text += inProxy
	}
	return text
}

// Misdirected warns that a relay cannot reach a server as it is configured.
func Misdirected(key string, c *wire.Cause) string {
	text := fmt.Sprintf("requests to %s fail: %s", key, Cause(c))
	switch c.Kind {
	case wire.NoSuchHost, wire.SpeaksHTTP, wire.SpeaksNoTLS, wire.SpeaksTLS, wire.SpeaksNoHTTP:
		if c.Culprit == "" {
			text += " in --to"
		}
	}
	return text
}

// stall says that nothing moved on a connection.
func stall(e *wire.StallError) string {
	switch e.State {
	case wire.NoAnswer:
		return fmt.Sprintf("the whole file was sent, and no answer came for %s: "+
			"if the server takes longer, raise --stall-timeout", human.Exact(e.Limit))
	case wire.EndlessHead:
		return e.Error() + " (twice --stall-timeout)"
	}
	return e.Error() + " (--stall-timeout)"
}

// Attempt returns the text of the error that a call ended with: with what to do about it, and the
// names of the settings that it speaks of, but not that the run is ending. PerhapsTLS is whether a
// server that closed the connection may be one that speaks TLS and got plain HTTP.
func Attempt(end retry.Result, perhapsTLS bool) string {
	text := strings.TrimSuffix(Plain(end.Err), ": "+stop.Ending{}.Error())
	say := func(of error, words string) { text = strings.ReplaceAll(text, Plain(of), words) }
	if cause, ok := errors.AsType[*wire.Cause](end.Err); ok {
		text, _, _ = strings.Cut(text, ": "+retry.ErrUnreachable.Error()) // which says less
		words := Cause(cause)
		if perhapsTLS && cause.Kind == wire.Closed {
			words += " (if it speaks TLS, use https://)"
		}
		say(cause, words)
	}
	if still, ok := errors.AsType[*wire.StallError](end.Err); ok {
		told := *still
		if told.State == wire.NoAnswer && !end.Uncertain {
			// All that was sent was to open the connection.
			told.State = wire.NothingMoves
		}
		say(still, stall(&told))
	}
	if timeout, ok := errors.AsType[*throttle.TimeoutError](end.Err); ok {
		say(timeout, fmt.Sprintf("the attempt took longer than --timeout %s: "+
			"raise it if the file or the server needs more time", human.Exact(timeout.After)))
	}
	if paused, ok := errors.AsType[*throttle.PausedError](end.Err); ok {
		say(paused, "nothing was sent")
	}
	var long interface { // retry's
		error
		MaxPause() time.Duration
	}
	if errors.As(end.Err, &long) {
		say(long, fmt.Sprintf("asked to wait until %s, longer than --max-wait %s",
			end.RetryAt.UTC().Format(time.RFC3339), human.Exact(long.MaxPause())))
	}
	var late interface { // retry's
		error
		GiveUpAfter() time.Duration
	}
	if errors.As(end.Err, &late) {
		say(late, "the next attempt would be after --give-up-after "+
			human.Exact(late.GiveUpAfter()))
	}
	say(resume.ErrKeyForgotten, KeyForgotten)
	return text
}

// Trouble says in a few words how a server refused a request, or failed, or what was wrong with the
// file; "" where nothing was.
func Trouble(e throttle.Event) string {
	switch fault := body.Fault(e.Err); {
	case errors.Is(e.Err, context.Canceled):
		return ""
	case e.Err == outcome.ErrEarly, e.Err == outcome.ErrUnread:
		return e.Err.Error()
	case fault != nil:
		return body.FaultKind(fault)
	case e.Err == nil:
		if e.Status < 300 {
			return ""
		}
		return fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	}
	words := brief(e)
	if culprit := wire.Culprit(e.Err); culprit != "" && !strings.HasPrefix(words, culprit) {
		words = culprit + ": " + words
	}
	return words
}

// brief is Trouble without the culprit.
func brief(e throttle.Event) string {
	var dns *net.DNSError
	var proxy interface{ ProxyStatus() int }
	switch err := e.Err; {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &proxy):
		status := proxy.ProxyStatus()
		return fmt.Sprintf("%d %s", status, http.StatusText(status))
	case errors.As(err, &dns) && dns.IsNotFound && !dns.IsTemporary:
		return "host not found"
	case errors.As(err, &dns):
		return "its name cannot be looked up"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "its certificate is not valid"
	case wire.Alert(err):
		return "TLS failed"
	case wire.DialError(err) != nil:
		if wire.DialError(err).Timeout() {
			return "no connection in time"
		}
		return "no connection"
	case e.Signal == throttle.SignalTimedOut:
		return NoAnswer
	case e.Signal == throttle.SignalOverloaded, e.Signal == throttle.SignalIgnored &&
		wire.Lost(err):
		return "connection lost"
	case e.Signal == throttle.SignalIgnored:
		return "broken off"
	}
	return "it cannot be reached"
}
