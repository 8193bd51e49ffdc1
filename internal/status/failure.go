package status

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/internal/rules"
	"github.com/penstock/penstock/retry"
)

// mayHaveArrived is added to the error of an unknown item that only says what went wrong.
const mayHaveArrived = "it may have been accepted"

// Why an item is unknown although its server accepted it, and skipped although it seems changed.
const (
	NotKept   = "the server accepted it, but the journal could not keep that"
	Unchanged = "its date has changed, its content has not"
)

// rivals say what a server may have an item from.
var rivals = map[outcome.Rival]string{
	outcome.Another: "; another request with this idempotency key may have been accepted",
	outcome.Earlier: "; what the server has may be from an attempt before",
}

// A Failure is what is known of why an item was not delivered.
type Failure struct {
	outcome.End
	Call        retry.Result
	Method, URL string
	PerhapsTLS  bool           // as of [Attempt]
	Unreachable string         // why its server cannot be reached; "": not known to be so
	Answer      *http.Response // nil if there was none
	Excerpt     string         // of its text
	Away        string         // the server it leads to, which the user may name; "": none
	Ruled       rules.Verdict  // what the user's rules say of it

	// Hide hides secrets in a text that may come from the server.
	Hide func(text string) string
}

// String says why.
func (f *Failure) String() string {
	if f.Fault != nil {
		return f.content() + rivals[f.Rival]
	}
	text := ""
	if f.Call.Err != nil {
		text = f.Hide(Attempt(f.Call, f.PerhapsTLS))
	}
	if f.Unreachable != "" {
		text = fmt.Sprintf("%s %s: %s", f.Method, conceal.URL(f.URL), f.Unreachable)
	}
	switch {
	case errors.Is(f.Call.Err, retry.ErrUnreachable):
		if f.Fate == item.Unknown && !strings.Contains(text, mayHaveArrived) {
			text += ": " + mayHaveArrived
		}
	case f.Unreachable == "" && f.Answer != nil &&
		f.Answer.StatusCode == http.StatusProxyAuthRequired:
		text += ": " + ProxyCredentials
	}
	switch {
	case f.Away != "":
		text += "; or add " + followTo(f.Away)
	case f.Answer != nil && f.Answer.Request != nil &&
		nethttp.Origin(f.Answer.Request.URL) != nethttp.OriginOf(f.URL):
		text += " by " + f.Answer.Request.URL.Host + ", where it was redirected to"
	}
	if by := byRule(f.Ruled); by != "" {
		text += ": " + by
	}
	// else it is but the status in words
	if excerpt := f.Hide(f.Excerpt); !strings.Contains(text, excerpt) {
		text += ": " + reply.Shorten(excerpt)
	}
	return text + rivals[f.Rival]
}

// NotFollowed says what to do about redirects to a server that the user has not named.
func NotFollowed(host string) string {
	return fmt.Sprintf("redirects to %s were not followed: %s has files sent there, "+
		"without credentials", host, followTo(host))
}

// followTo returns the flag for a host, which is safe to copy into a shell.
func followTo(host string) string {
	special := func(r rune) bool {
		return (r < 'a' || 'z' < r) && (r < 'A' || 'Z' < r) && (r < '0' || '9' < r) &&
			!strings.ContainsRune("-._:", r)
	}
	if strings.ContainsFunc(host, special) {
		host = "HOST"
	}
	return "--follow-to " + host
}

// content is String for an item that ended because of its own content, such as a file that changed.
func (f *Failure) content() string {
	text := f.Fault.Error()
	changed := !errors.As(f.Fault, new(*body.ReadError))
	unknown := f.Fate == item.Unknown && f.Rival == outcome.NoRival
	switch {
	case !f.Doubt && !unknown:
	case changed:
		text += ", and the server may have accepted a mix of the old content and the new"
	default:
		text += ": " + mayHaveArrived
	}
	if changed && !unknown {
		text += ": send it again when it is complete"
	}
	return text
}

// AttemptInDoubt is a note about an item of which an attempt may have been accepted.
func AttemptInDoubt(end outcome.End) string {
	if end.Doubt {
		return "an attempt may have been accepted"
	}
	return ""
}

// Reason says why an attempt is made again, or not, where the package retry cannot know.
func Reason(v outcome.Verdict) string {
	switch {
	case v.Fault != nil:
		return body.FaultKind(v.Fault)
	case v.KeyInUse:
		return "key in use"
	case v.Ruled == rules.Reject:
		return "rejected by a rule"
	case v.Ruled == rules.Retry:
		return "repeated by a rule"
	case v.Ruled == rules.Throttle:
		return "throttled by a rule"
	case v.Ruled == rules.Unread:
		return outcome.ErrUnread.Error()
	}
	return ""
}
