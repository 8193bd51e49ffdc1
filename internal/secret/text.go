package secret

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Address writes a URL without user, query and fragment; nil as "".
func Address(u *url.URL) string {
	if u == nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// Name is how messages call a request: by its method and the [Address] of its URL.
func Name(req *http.Request) string {
	return cmp.Or(req.Method, http.MethodGet) + " " + Address(req.URL)
}

// maxShown is how many bytes are said of one error: a server may put a whole page where a status
// line should be.
const maxShown = 1 << 10

var (
	// What stands before the host of a URL: up to where a path begins, or if a password holds what
	// ends a host, and is no port, up to the last "@".
	userRE = regexp.MustCompile(`(://)(?:[^/?#\s"]*|[^/?#\s":]*:\d*[^\d/\s"@][^\s"]*)@`)
	// A query, with or without the rest of a URL before it, up to where the text around it goes on;
	// if it is quoted, up to the end of the quote.
	queryRE = regexp.MustCompile(`("[^\s"?#]*://[^?#"]*)[?#](?:[^"\\]|\\.)*"|` +
		`\?[^\s"?]*=[^\s"]*|(://[^?#\s"]*)[?#][^\s"]*`)
)

// bare returns a text whose URLs have no user, password, query and fragment.
func bare(s string) string {
	s = userRE.ReplaceAllString(s, "$1")
	return queryRE.ReplaceAllStringFunc(s, func(match string) string {
		where := match[:strings.IndexAny(match, "?#")]
		if strings.HasPrefix(match, `"`) {
			where += `"`
		}
		return where
	})
}

// Error is an error with a text of its own. [errors.Is] and [errors.As] look into what it stands
// for. A program that unwraps it step by step to print each step, as error trackers do, finds
// nothing more.
type Error struct {
	Text string
	Err  error
}

func (e *Error) Error() string        { return e.Text }
func (e *Error) Is(target error) bool { return errors.Is(e.Err, target) }
func (e *Error) As(target any) bool   { return errors.As(e.Err, target) }

// Clean returns err with the text that [Set.TextOf] has for it. If neither it nor any error that it
// wraps says more than that, it is err itself.
func (s *Set) Clean(err error) error {
	if s.clean(err) {
		return err
	}
	return &Error{Text: s.TextOf(err), Err: err}
}

// clean reports whether err can be printed link by link.
func (s *Set) clean(err error) bool {
	if err == nil {
		return true
	}
	if s.TextOf(err) != err.Error() {
		return false
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return s.clean(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if !s.clean(inner) {
				return false
			}
		}
	}
	return true
}

// TextOf returns what may be shown of an error: its text without the secrets of the set, and its
// URLs without user, password, query and fragment.
func (s *Set) TextOf(err error) string {
	return Shorten(bare(s.Hide(err.Error())), maxShown)
}

// Shorten cuts a text to so many bytes, and says so.
func Shorten(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
