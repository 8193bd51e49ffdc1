package said

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/penstock/penstock/internal/secret"
)

// Instead returns an error with a text of its own. errors.Is and errors.As find err; unwrapping
// step by step does not, so that its text is not printed.
func Instead(text string, err error) error { return &secret.Error{Text: text, Err: err} }

// Failed returns err, an error of http.Client for a request, with a text that may be logged. What
// was sent for the request, if it is not nil, may hold further secrets.
func Failed(req, sent *http.Request, err error) error {
	outer, isURLError := err.(*url.Error)
	if isURLError {
		err = outer.Err
	}
	secrets := secret.Of(req, sent)
	text := secrets.TextOf(err)
	if isURLError { // for callers that look for one
		err = &url.Error{Op: outer.Op, URL: secret.Address(req.URL), Err: Instead(text, err)}
	}
	return Instead(secrets.Hide(secret.Name(req))+": "+text, err)
}

// Answered returns an error for the answer to a request, with a text that may be logged. What was
// sent for the request, if it is not nil, may hold further secrets.
func Answered(req, sent *http.Request, text string) error {
	return errors.New(secret.Of(req, sent).Hide(secret.Name(req) + ": " + text))
}

// Clean returns an error of somebody else's with a text that may be logged.
func Clean(err error) error { return new(secret.Set).Clean(err) }

// Because joins the last error with the reason why no attempt followed, without repeating a text.
func Because(last, why error) error {
	if last == nil {
		return why
	}
	if strings.HasSuffix(last.Error(), why.Error()) {
		return Instead(last.Error(), errors.Join(last, why))
	}
	return fmt.Errorf("%w: %w", last, why)
}

// Cancelled returns the error of a context that is done. It says why, and is context.Canceled or
// context.DeadlineExceeded as well.
func Cancelled(ctx context.Context) error {
	cause := context.Cause(ctx)
	return Instead(Clean(cause).Error(), errors.Join(cause, ctx.Err()))
}
