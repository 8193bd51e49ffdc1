// Package conceal hides secrets in the texts of the command, in every encoding in which a server
// may echo them. Secrets are those of package secret, and values that look like machine-made keys.
// It also removes credentials from URLs, and reports which headers are certain to be credentials.
package conceal

import (
	"iter"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstock/penstock/internal/secret"
)

// A Set holds secrets. The zero value has none. It does not change, and is safe for concurrent use.
type Set struct {
	forms []string // each folded, and each once
}

// New returns the secrets of a request with such headers and URLs: what [secret.Values] are, and
// those words of other headers that look random. Plain words, as in "X-Env: production", are no
// secrets: to hide them would hide parts of hosts and paths.
func New(h http.Header, urls ...string) *Set { return new(Set).With(h, urls...) }

// With returns the set with the secrets of [New] added.
func (s *Set) With(h http.Header, urls ...string) *Set {
	more := &Set{slices.Clone(s.forms)}
	more.add(secret.Values(h, urls...)...)
	for name, values := range h {
		for _, v := range values {
			if secret.Plain(name) || secret.Held(name, v) {
				continue
			}
			for _, word := range secret.Words(v) {
				if random(word) {
					more.add(word)
				}
			}
		}
	}
	return more
}

// add adds texts as they are, and as they look to servers that decode them, or misread their
// encoding.
func (s *Set) add(texts ...string) {
	for _, text := range texts {
		for _, t := range []string{text, secret.Unescape(text)} {
			s.addForm(t)
			if len(t) < secret.Shortest || strings.IndexFunc(t, beyondASCII) < 0 {
				continue
			}
			s.addForm(latin1(t))
			if utf8.ValidString(t) {
				continue
			}
			for _, mark := range []string{"?", "\ufffd"} {
				s.addForm(strings.ToValidUTF8(t, mark))
				s.addForm(eachInvalid(t, mark))
			}
		}
	}
}

func (s *Set) addForm(text string) {
	text = strings.Trim(fold(text), " ")
	scheme := secret.Scheme(text)
	if len(text) >= secret.Shortest && !scheme && !slices.Contains(s.forms, text) {
		s.forms = append(s.forms, text)
	}
}

func beyondASCII(r rune) bool { return r >= utf8.RuneSelf }

// latin1 is what becomes of a text that is taken for ISO 8859-1, as headers often are.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// eachInvalid is [strings.ToValidUTF8] with a mark for each byte.
func eachInvalid(s, mark string) string {
	var b strings.Builder
	for i, r := range s {
		if _, n := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 {
			b.WriteString(mark)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Show returns what may be shown of a text: without the secrets of the set, and with [Text]
// applied.
func (s *Set) Show(text string) string { return Text(s.Hide(text)) }

// Hide returns a text with [secret.Mask] in the place of all secrets of at least six bytes: as they
// are, percent-encoded, with the escapes of JSON or Go, with HTML's, and with two of these on top
// of one another, whatever is escaped and in whichever case. Where the text ends, or says by three
// dots that it was cut, the beginning of a secret is hidden as well. Of a text of more than 8 KiB
// the rest is cut off.
func (s *Set) Hide(text string) string {
	if len(text) > secret.MaxText {
		text = text[:secret.MaxText]
	}
	if len(s.forms) == 0 {
		return text
	}
	var hidden []bool // by byte
	for _, v := range decodings(text) {
		folded := fold(v.text)
		for _, form := range s.forms {
			for from, to := range found(folded, form) {
				if hidden == nil {
					hidden = make([]bool, len(text))
				}
				for i := v.start(from); i < v.start(to); i++ {
					hidden[i] = true
				}
			}
		}
	}
	if hidden == nil {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case !hidden[i]:
			b.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString(secret.Mask)
		}
	}
	return b.String()
}

// found yields where a form begins and ends in a text, or its beginning does where the text was
// cut.
func found(text, form string) iter.Seq2[int, int] {
	return func(yield func(from, to int) bool) {
		for from := 0; ; from++ {
			i := strings.Index(text[from:], form[:secret.Shortest])
			if i < 0 {
				return
			}
			from += i
			n := secret.Shortest
			for n < len(form) && from+n < len(text) && text[from+n] == form[n] {
				n++
			}
			if (n == len(form) || cutOff(text[from+n:])) && !yield(from, from+n) {
				return
			}
		}
	}
}

// cutOff reports whether a text ends where rest begins.
func cutOff(rest string) bool {
	switch {
	case rest == "", strings.HasPrefix(rest, "..."), strings.HasPrefix(rest, "…"):
		return true
	}
	// Perhaps it ends within an escape, or within a character.
	return len(rest) < len(`\u00fc`) && strings.IndexByte(`%\&`, rest[0]) >= 0 ||
		len(rest) < utf8.UTFMax && !utf8.FullRuneInString(rest)
}

// fold makes one space of everything that stands for one in some encoding. It keeps all bytes in
// their places.
func fold(s string) string {
	if !strings.ContainsAny(s, spaces) {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if strings.IndexByte(spaces, c) >= 0 {
			b[i] = ' '
		}
	}
	return string(b)
}

const spaces = "+\t\n\v\f\r"
