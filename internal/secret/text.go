package secret

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// maxShown is how much is said of one error: a server may put a whole page where a status line
// should be.
const maxShown = 1 << 10

var (
	// Go's errors quote a URL, and one that did not parse may hold a space. A bare one ends at
	// white space and nowhere else, since any other byte may be part of a careless secret.
	textRE = regexp.MustCompile(`(?s)"[a-zA-Z0-9+.-]*://(?:[^"\\]|\\.)*\\?"?|` +
		`[a-zA-Z0-9+.-]*://[^ \t\r\n]*`)
	// A query, with or without the rest of a URL before it, up to where the text around it goes on.
	queryRE = regexp.MustCompile(`\?[^\s"?]*=[^\s"]*|(://[^?#\s"]*)[?#][^\s"]*`)
)

// Text applies [URL] to every absolute URL inside an error text, such as those that net/http puts
// there.
func Text(s string) string {
	return textRE.ReplaceAllStringFunc(s, func(match string) string {
		u := strings.TrimPrefix(match, `"`)
		before := match[:len(match)-len(u)]
		// In "Put https://h/x: EOF" the colon belongs to the sentence.
		u = strings.TrimRight(u, `":,;.)`)
		return before + URL(u) + match[len(before)+len(u):]
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

// Clean returns err with the text that [Set.TextOf] has for it.
func (s *Set) Clean(err error) error {
	if text := s.TextOf(err); text != err.Error() {
		return &Error{Text: text, Err: err}
	}
	return err
}

// TextOf returns what may be shown of an error: its text without the secrets of the set, and its
// URLs without user, password, query and fragment.
func (s *Set) TextOf(err error) string {
	text := err.Error()
	for _, u := range addresses(err, nil) {
		text = strings.ReplaceAll(text, strconv.Quote(u), strconv.Quote(Bare(u)))
		text = strings.ReplaceAll(text, u, Bare(u))
	}
	return Shorten(bareText(s.Hide(text)), maxShown)
}

// bareText is [Text] without the queries.
func bareText(s string) string { return queryRE.ReplaceAllString(Text(s), "$1") }

// addresses collects those that errors of net/url and http.Client carry, at any depth.
func addresses(err error, found []string) []string {
	if e, ok := err.(*url.Error); ok && e.URL != "" {
		found = append(found, e.URL)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return addresses(inner, found)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			found = addresses(inner, found)
		}
	}
	return found
}

// Shorten cuts a text to so many bytes, and says so.
func Shorten(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
