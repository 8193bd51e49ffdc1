package status

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/body"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/outcome"
	"github.com/penstock/penstock/retry"
)

func TestFailure(t *testing.T) {
	const put = "PUT http://h/"
	unread := &body.ReadError{Err: errors.New("it cannot be read")}
	for _, c := range []struct {
		why  Failure
		want string
	}{
		{Failure{Call: retry.Result{Err: errors.New(put + ": 403 Forbidden")},
			Excerpt: "no secret"}, put + ": 403 Forbidden: no ***"},
		{Failure{Call: retry.Result{Err: errors.New(put + ": 404 Not Found")},
			Excerpt: "Not Found"}, put + ": 404 Not Found"},
		{Failure{Call: retry.Result{Err: errors.New(put + ": 409 Conflict")},
			End: outcome.End{Fate: item.Unknown, Doubt: true, Rival: outcome.Earlier}},
			put + ": 409 Conflict; what the server has may be from an attempt before"},
		{Failure{Call: retry.Result{Err: errors.New(put + ": 409 Conflict")}, Excerpt: "taken",
			End: outcome.End{Fate: item.Unknown, Doubt: true, Rival: outcome.Another}},
			put + ": 409 Conflict: taken; another request with this idempotency key may have " +
				"been accepted"},
		{Failure{Call: retry.Result{Err: retry.ErrUnreachable}, Method: "PUT",
			URL: "http://h/", Unreachable: "no such host", End: outcome.End{Fate: item.Unknown}},
			put + ": no such host: it may have been accepted"},
		{Failure{Call: retry.Result{Err: errors.New(put + ": 407")},
			Answer: &http.Response{StatusCode: http.StatusProxyAuthRequired}},
			put + ": 407: " + ProxyCredentials},
		{Failure{End: outcome.End{Fate: item.Failed, Fault: body.ErrChanged}},
			"the file changed while it was sent: send it again when it is complete"},
		{Failure{End: outcome.End{Fate: item.Failed, Fault: body.ErrChanged, Doubt: true}},
			"the file changed while it was sent, and the server may have accepted a mix of the " +
				"old content and the new: send it again when it is complete"},
		{Failure{End: outcome.End{Fate: item.Unknown, Fault: body.ErrChanged}},
			"the file changed while it was sent, and the server may have accepted a mix of the " +
				"old content and the new"},
		{Failure{End: outcome.End{Fate: item.Failed, Fault: unread}}, "it cannot be read"},
		{Failure{End: outcome.End{Fate: item.Failed, Fault: unread, Doubt: true}},
			"it cannot be read: it may have been accepted"},
	} {
		c.why.Hide = func(text string) string { return strings.ReplaceAll(text, "secret", "***") }
		if got := c.why.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
