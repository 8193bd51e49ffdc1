package rules

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

const (
	// maxCaptured bounds what is kept of a value, as JSON, and maxReceipt what is kept of an
	// answer: an identifier or a URL takes far less, and there may be a million of them.
	maxCaptured = 4 << 10
	maxReceipt  = 16 << 10
)

// A capture is a value of an answer that is kept.
type capture struct {
	name  string
	field string // of the header; "" if it is
	query *Query
}

// Captures are the values that are kept of an answer, each by a name. The zero value has none. Once
// they are in use they must not change, and may be used concurrently.
type Captures struct{ list []capture }

// Add adds a capture that is written as NAME=JQ or NAME=header:FIELD.
func (c *Captures) Add(text string) error {
	name, what, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("want NAME=JQ or NAME=header:FIELD, such as id=.id or " +
			"where=header:Location")
	}
	if !isName(name) {
		return fmt.Errorf("the name %s: want letters, digits, - . and _, with a letter or _ first",
			quoted(name))
	}
	if slices.ContainsFunc(c.list, func(o capture) bool { return o.name == name }) {
		return fmt.Errorf("the name %s is given twice", name)
	}
	one := capture{name: name}
	if field, ok := strings.CutPrefix(what, "header:"); ok {
		if !isToken(field) {
			return fmt.Errorf("%s is no name of a header field", quoted(field))
		}
		one.field = http.CanonicalHeaderKey(field)
	} else {
		var err error
		if one.query, err = ParseQuery(what); err != nil {
			return err
		}
	}
	c.list = append(c.list, one)
	return nil
}

// isName reports whether a name can be a variable of a template.
func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// IsEmpty reports whether nothing is kept.
func (c *Captures) IsEmpty() bool { return len(c.list) == 0 }

// A Missing is a value that an answer does not have.
type Missing struct{ Name, Why string }

var (
	errAbsent  = errors.New("is not in the answer")
	errNoJSON  = errors.New("is not there: the answer is no JSON")
	errMuch    = fmt.Errorf("is longer than %d KiB", maxCaptured>>10)
	errTooMuch = fmt.Errorf("was left out: all together are longer than %d KiB", maxReceipt>>10)
)

// Of returns the values that an answer has, as a JSON object, and those that it does not have:
// these are null, or longer than is kept. The answer's body is read if that is needed, and was not
// for the verdict about it, and a body put in its place that begins anew.
func (c *Captures) Of(resp *http.Response, v Verdict) (object string, missing []Missing) {
	if v.whole != nil {
		return c.of(v.whole, nil)
	}
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	var unread error
	if slices.ContainsFunc(c.list, capture.looksAtBody) {
		a.Body, unread = readBody(resp)
	}
	return c.of(a, unread)
}

// of returns what Of does. Unread is why the body was not read whole, nil if it was; then what
// needs it is missing.
func (c *Captures) of(a *Answer, unread error) (object string, missing []Missing) {
	var b strings.Builder
	b.WriteByte('{')
	for _, one := range c.list {
		value, err := one.of(a, unread)
		switch {
		case err != nil:
		case len(value) > maxCaptured:
			err = errMuch
		case b.Len()+len(one.name)+len(value)+len(`,"":}`) > maxReceipt:
			err = errTooMuch
		}
		if err != nil {
			missing = append(missing, Missing{one.name, err.Error()})
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%s":%s`, one.name, value)
	}
	b.WriteByte('}')
	return b.String(), missing
}

// of returns a value as JSON.
func (c capture) of(a *Answer, unread error) (string, error) {
	var value any
	switch {
	case c.query == nil:
		fields := a.Header[c.field]
		if len(fields) == 0 {
			return "", errAbsent
		}
		value = fields[0]
	case unread != nil && c.looksAtBody():
		return "", fmt.Errorf("is not there: %w", unread)
	default:
		var err error
		value, err = c.query.First(a)
		switch {
		case Unfinished(err):
			return "", fmt.Errorf("was not found: %w", err)
		case err != nil, value == nil: // its error may show what is in the answer
			if body, _ := a.json(c.query.members); body == nil && c.query.json {
				return "", errNoJSON
			}
			return "", errAbsent
		}
	}
	text, err := gojq.Marshal(value)
	return string(text), err
}

func (c capture) looksAtBody() bool { return c.query != nil && c.query.looksAtBody() }
