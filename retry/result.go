package retry

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/said"
)

// Outcome says what became of a call. A repeatable request whose call Failed or was Deferred may
// have been accepted all the same: [Result].Uncertain reports that.
type Outcome uint8

// The outcomes. The zero Outcome is that of a call which is not over.
const (
	Delivered Outcome = iota + 1 // the server accepted it
	Failed                       // it is not known to be accepted, and going on would not help
	Unknown                      // it may have been accepted, and repeating it is not safe
	Deferred                     // it is not known to be accepted, and sending it later may help
)

var outcomes = said.Words{"none", "delivered", "failed", "unknown", "deferred"}

// String returns the outcome's name in lower case; "none" for the zero Outcome.
func (o Outcome) String() string { return outcomes.Of(uint8(o)) }

// MarshalText returns what String does.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (o *Outcome) UnmarshalText(text []byte) error { return outcomes.Read(text, (*uint8)(o)) }

// Result is how a call ended. Logged with [log/slog] or as JSON it holds no secret and leaves out
// what says nothing.
type Result struct {
	Outcome  Outcome
	Attempts int       // how many were made, refusals included, those of a limiter below as well
	Status   int       // of the answer to the last attempt, or of a proxy's; 0 if there was none
	RetryAt  time.Time // when to send the request again, if that is known

	// Uncertain reports whether the server may have accepted the request although the call was not
	// Delivered: some attempt may have been processed, and no answer says so. It is true of every
	// Unknown call and, for example, of a PUT whose answers were lost. Policy.Do, which does not
	// know, leaves it false.
	Uncertain bool

	Err error // why it was not delivered, without secrets; nil if it was
}

func (r Result) attrs() []slog.Attr {
	return said.Something(
		slog.String("outcome", outcomes.Said(uint8(r.Outcome))), slog.Int("attempts", r.Attempts),
		slog.Int("status", r.Status), slog.Time("retry_at", r.RetryAt),
		slog.Bool("uncertain", r.Uncertain), slog.String("error", said.Error(r.Err)))
}

// LogValue returns what the Result says as a group.
func (r Result) LogValue() slog.Value { return slog.GroupValue(r.attrs()...) }

// MarshalJSON returns the same as a JSON object.
func (r Result) MarshalJSON() ([]byte, error) { return said.JSON(r.attrs()) }

// OutcomeOf returns how the call ended that returned resp and err, with or without a response: pass
// it what [Client.Do], a [Client.StandardClient] or [Policy.Do] returned. It returns the zero
// Result if neither comes from this package, and for the nil error of a Policy.Do.
func OutcomeOf(resp *http.Response, err error) Result {
	var e *Error
	if errors.As(err, &e) {
		return e.Result
	}
	if err == nil && resp != nil && resp.Request != nil {
		if c, ok := resp.Request.Context().Value(callKey{}).(*call); ok {
			return c.settled()
		}
	}
	return Result{}
}

// Error is the error of a call that ended without a response to return. Its Outcome is never
// Delivered, and its Err is never nil: it says what happened last and why the call ended there. One
// that a test makes may do without.
//
// Error's text may be logged: queries, user names, passwords and credentials in headers are taken
// out, also of the errors that it wraps, as [errors.Unwrap] returns them. Only [errors.As] returns
// the original errors, with whatever secrets are in their text.
type Error struct{ Result }

func failure(r Result) *Error { return &Error{r} }

// Error begins with "retry: ".
func (e *Error) Error() string {
	text := "retry: " + strings.TrimPrefix(cmp.Or(said.Error(e.Err),
		e.Outcome.String()), "retry: ")
	var notes []string
	var spent *spentError
	// Otherwise that error says the same.
	if e.Attempts > 1 && !(errors.As(e.Err, &spent) && spent.failures == e.Attempts) {
		notes = append(notes, fmt.Sprintf("%s after %d attempts", e.Outcome, e.Attempts))
	}
	if e.Uncertain && !errors.Is(e.Err, errUnsafe) {
		notes = append(notes, "it may have been accepted")
	}
	if notes != nil {
		text += " (" + strings.Join(notes, "; ") + ")"
	}
	if !e.RetryAt.IsZero() {
		text += ", not before " + e.RetryAt.UTC().Format(time.RFC3339)
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
