package template

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

var (
	errBadInHeader = errors.New("a newline or another control character cannot be sent in a header")
	errNull        = errors.New("null has no text")
	errNoUTF8      = errors.New("not valid UTF-8")
)

// badInHeader reports whether a header's value cannot have a text (RFC 9110, section 5.5).
func badInHeader(text string) bool {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// A jsonState is where in JSON a text has got to.
type jsonState struct {
	quoted  bool // in a string
	escaped bool // behind a backslash in it
}

func (s *jsonState) read(text string) {
	for i := 0; i < len(text); i++ {
		switch {
		case s.escaped:
			s.escaped = false
		case text[i] == '"':
			s.quoted = !s.quoted
		case text[i] == '\\':
			s.escaped = s.quoted
		}
	}
}

// checkJSON returns an error if the template with these values for its variables is no JSON.
func (t *Template) checkJSON(quoted, bare string) error {
	var b []byte
	for _, p := range t.parts {
		switch {
		case p.name == "":
			b = append(b, p.text...)
		case p.bare:
			b = append(b, bare...)
		default:
			b = append(b, quoted...)
		}
	}
	if !utf8.Valid(b) {
		return errNoUTF8
	}
	var value json.RawMessage
	if err := json.Unmarshal(b, &value); err != nil {
		at := len(b)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = int(syntax.Offset)
		}
		return fmt.Errorf("not valid JSON, with its variables filled in: at byte %d: %w",
			t.offset(at, len(quoted), len(bare)), err)
	}
	return nil
}

// offset returns how many bytes of the template make so many of its text with samples of these
// lengths.
func (t *Template) offset(at, quoted, bare int) (offset int) {
	for _, p := range t.parts {
		whole, sample := len(p.text), len(p.text)
		if p.name != "" {
			whole, sample = len(p.name)+2, quoted
			if p.bare {
				sample = bare
			}
		}
		if at < sample || at == sample && p.name == "" {
			return offset + at
		}
		at -= sample
		offset += whole
	}
	return offset
}

// appendJSON appends a text as JSON writes strings, with or without its quotes.
func appendJSON(dst []byte, text string, quotes bool) ([]byte, error) {
	from := len(dst)
	dst, err := jsontext.AppendQuote(dst, text)
	if err != nil {
		return nil, errNoUTF8
	}
	if quotes {
		return dst, nil
	}
	n := copy(dst[from:], dst[from+1:len(dst)-1])
	return dst[:from+n], nil
}

func (t *Template) checkXML() error {
	inside := false
	for _, p := range t.parts {
		if p.name != "" && inside {
			return fmt.Errorf("{%s} is in a CDATA section, where nothing can be escaped: write it "+
				"outside of one", p.name)
		}
		begin, end := strings.LastIndex(p.text, "<![CDATA["), strings.LastIndex(p.text, "]]>")
		inside = begin > end || inside && end < 0
	}
	return nil
}

// appendXML appends a text with XML's escapes.
func appendXML(dst []byte, text string) ([]byte, error) {
	if !utf8.ValidString(text) {
		return nil, errNoUTF8
	}
	for _, r := range text {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return nil, fmt.Errorf("XML does not have the character U+%04X", r)
		}
	}
	w := appender{dst}
	err := xml.EscapeText(&w, []byte(text))
	return w.to, err
}

type appender struct{ to []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.to = append(a.to, p...)
	return len(p), nil
}
