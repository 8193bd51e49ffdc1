// Package secret keeps secrets out of texts that people see: of errors, logs, URLs and command
// lines. A request's secrets are the values of those headers that are named like credentials or
// look like them, the user and password of its URL, and the values of its query. A server may send
// any of them back, in a body, a reason phrase, a Location or what is no HTTP at all, and then they
// are in an error.
//
// A [Set] finds what is known to be secret, in whatever way it is written. [URL] and [Text] know
// nothing, and leave out those parts of URLs in which secrets stand. The package makes no text safe
// for a terminal.
package secret

import (
	"encoding/base64"
	"iter"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// shortest is the length in bytes from which on a text is hidden. What is shorter occurs by chance,
// and to hide it would hide much else.
const shortest = 6

// Mask stands where something was hidden.
const Mask = "***"

// maxText is how much of a text is looked at; the rest is cut off. Its author may be hostile.
const maxText = 8 << 10

// A Set is secrets. The zero value has none. It does not change, and is safe for concurrent use.
type Set struct {
	forms []string // each folded, and each once
}

// New returns the secrets of a request with such headers and URLs, of which any may be invalid.
//
// Of headers these are the values of those that are credentials by their names or that begin like
// some: whole, word by word, and what Basic credentials encode. Of the others it is the words that
// look random. Plain words, as in "X-Env: production", are no secrets: to hide them would hide
// parts of hosts and paths.
//
// Of URLs these are user and password, as they are written, as they are meant and as a header says
// them, and the values of the query; what has no key is a value.
func New(h http.Header, urls ...string) *Set { return new(Set).With(h, urls...) }

// Of returns the secrets of a request.
func Of(req *http.Request) *Set {
	if req.URL == nil {
		return New(req.Header)
	}
	return New(req.Header, req.URL.String())
}

// With returns the set with the secrets of [New] added.
func (s *Set) With(h http.Header, urls ...string) *Set {
	more := &Set{slices.Clone(s.forms)}
	for name, values := range h {
		for _, v := range values {
			more.addHeader(name, v)
		}
	}
	for _, u := range urls {
		more.addURL(u)
	}
	return more
}

func (s *Set) addHeader(name, value string) {
	if plain(name) {
		return
	}
	if !Held(name, value) {
		for _, word := range words(value) {
			if random(word) {
				s.add(word)
			}
		}
		return
	}
	s.addWords(value)
	scheme, credentials, _ := strings.Cut(strings.TrimSpace(value), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return
	}
	pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials))
	if err == nil {
		user, password, _ := strings.Cut(string(pair), ":")
		s.add(string(pair), user, password)
	}
}

func (s *Set) addURL(rawURL string) {
	rest, _, _ := strings.Cut(rawURL, "#")
	rest, query, _ := strings.Cut(rest, "?")
	for pair := range strings.SplitSeq(query, "&") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || strings.Trim(value, "=") == "" { // so ends base64, too
			value = pair
			s.addWords(key)
		}
		s.addWords(value)
	}
	if _, after, ok := strings.Cut(rest, "//"); ok {
		rest = after
	}
	authority, _, _ := strings.Cut(rest, "/")
	i := strings.LastIndexByte(authority, '@')
	if i < 0 {
		return
	}
	user, password, _ := strings.Cut(authority[:i], ":")
	pair := percent(user) + ":" + percent(password)
	s.add(user, password, pair, base64.StdEncoding.EncodeToString([]byte(pair)))
}

// addWords adds a text, and the words that it consists of.
func (s *Set) addWords(text string) {
	s.add(text)
	s.add(words(text)...)
	s.add(words(percent(text))...)
}

// words are the parts of a text between blanks, and those between any separators.
func words(text string) []string {
	return slices.Concat(strings.Fields(text), strings.FieldsFunc(text, separates))
}

// separates reports whether c stands between the words of a header: scheme and token, user and
// password, a cookie's name and value.
func separates(c rune) bool { return strings.ContainsRune(" \t,;:=&?\"'<>(){}[]|", c) }

// add adds texts as they are, and as they look to servers that decode them, or misread their
// encoding.
func (s *Set) add(texts ...string) {
	for _, text := range texts {
		for _, t := range []string{text, percent(text)} {
			s.addForm(t)
			if len(t) < shortest || strings.IndexFunc(t, beyondASCII) < 0 {
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
	scheme := authSchemes[strings.ToLower(text)]
	if len(text) >= shortest && !scheme && !slices.Contains(s.forms, text) {
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

// Hide returns a text with [Mask] in the place of all secrets of at least six bytes: as they are,
// percent-encoded, with the escapes of JSON or Go, with HTML's, and with two of these on top of one
// another, whatever is escaped and in whichever case. Where the text ends, or says by three dots
// that it was cut, the beginning of a secret is hidden as well. Of a text of more than 8 KiB the
// rest is cut off.
func (s *Set) Hide(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
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
			b.WriteString(Mask)
		}
	}
	return b.String()
}

// found yields where a form begins and ends in a text, or its beginning does where the text was
// cut.
func found(text, form string) iter.Seq2[int, int] {
	return func(yield func(from, to int) bool) {
		for from := 0; ; from++ {
			i := strings.Index(text[from:], form[:shortest])
			if i < 0 {
				return
			}
			from += i
			n := shortest
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
