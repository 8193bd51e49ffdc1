package secret

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Error is an error with a text of its own. [errors.Is] and [errors.As] look into what it stands for. A program that unwraps it
// step by step to print each step, as error trackers do, finds nothing more.
type Error struct {
	Text string
	Err  error
}

func (e *Error) Error() string        { return e.Text }
func (e *Error) Is(target error) bool { return errors.Is(e.Err, target) }
func (e *Error) As(target any) bool   { return errors.As(e.Err, target) }

// maxShown is how much is said of one error: a server may put a whole page where a status line should be.
const maxShown = 1 << 10

// TextOf is what may be shown of an error: without the secrets of the set, and without those parts of URLs in which secrets stand.
func (s *Set) TextOf(err error) string {
	text := err.Error()
	for _, u := range addresses(err, nil) {
		text = strings.ReplaceAll(text, strconv.Quote(u), strconv.Quote(CleanAddress(u)))
		text = strings.ReplaceAll(text, u, CleanAddress(u))
	}
	return Shorten(CleanText(s.Hide(text)), maxShown)
}

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
