// Package secret keeps secrets out of texts that people see. A request's secrets are the values of those headers that are named
// like secrets or look like them, the user and password of its URL, and the values of its query; a server may send any of them back, in a body, a reason phrase, a Location or
// what is no HTTP at all, and then they are in an error.
//
// [Set.Hide] finds what is known to be secret, in whatever way it is written. [CleanURL] and [CleanText] know nothing, and cut off
// those parts of URLs in which secrets stand.
package secret

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Shortest is the length in bytes from which on a text is hidden. What is shorter occurs by chance, and to hide it would hide much
// else.
const Shortest = 6

// Mask stands where something was hidden.
const Mask = "***"

// maxText is how much of a text is looked at; the rest is cut off. Who wrote it need not be a friend.
const maxText = 8 << 10

// A Set is secrets. The zero value has none. It is safe for concurrent use by Hide alone.
type Set struct {
	forms []string // each folded, and each once
	known map[string]bool
}

// plainHeaders are about the content, or name a request: they belong in messages, however random they look.
var plainHeaders = map[string]bool{
	"Accept": true, "Accept-Charset": true, "Accept-Encoding": true, "Accept-Language": true,
	"Content-Digest": true, "Content-Disposition": true, "Content-Encoding": true, "Content-Language": true, "Content-Length": true, "Content-Md5": true,
	"Content-Type": true, "Digest": true, "Repr-Digest": true, "Idempotency-Key": true, "User-Agent": true,
}

// secretName finds names of headers whose values are secrets, whatever they look like.
var secretName = regexp.MustCompile(`(?i)auth|cookie|key|token|secret|pass|pwd|sign|credential|session|sid\b|jwt|otp\b|pin\b|access|private|csrf|xsrf|bearer`)

// Named reports whether the value of a header, or of a parameter of a query, is a secret by its name.
func Named(name string) bool {
	return secretName.MatchString(name) && !plain(name)
}

// Held reports whether a header's value is a secret as a whole: by the header's name, or since it begins like credentials.
func Held(name, value string) bool {
	return !plain(name) && (secretName.MatchString(name) || credentials(value))
}

// plain reports whether a header is none that holds secrets. A server may want idempotency keys in a header of any name.
func plain(name string) bool {
	return plainHeaders[http.CanonicalHeaderKey(name)] || strings.Contains(strings.ToLower(name), "idempotency")
}

// schemes of authentication are no secret.
var schemes = map[string]bool{"bearer": true, "digest": true, "negotiate": true}

// AddHeader adds the values of headers that are secrets by their names or that begin like credentials: whole, word by word, and
// what Basic credentials encode. Of the others it adds the words that look random. Plain words, as in "X-Env: production", are
// no secrets: to hide them would hide parts of hosts and paths.
func (s *Set) AddHeader(h http.Header) {
	for name, values := range h {
		if plain(name) {
			continue
		}
		for _, v := range values {
			if !Held(name, v) {
				for _, word := range words(v) {
					if random(word) {
						s.add(word)
					}
				}
				continue
			}
			s.Add(v)
			scheme, credentials, _ := strings.Cut(strings.TrimSpace(v), " ")
			if !strings.EqualFold(scheme, "Basic") {
				continue
			}
			if plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials)); err == nil {
				user, password, _ := strings.Cut(string(plain), ":")
				s.add(string(plain))
				s.add(user)
				s.add(password)
			}
		}
	}
}

// AddURL adds user and password of a URL, as they are written, as they are meant and as a header says them, and the values of the
// query: what has no key is a value. The URL need not be valid.
func (s *Set) AddURL(rawURL string) {
	rest, _, _ := strings.Cut(rawURL, "#")
	rest, query, _ := strings.Cut(rest, "?")
	for pair := range strings.SplitSeq(query, "&") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || strings.Trim(value, "=") == "" { // so ends base64, too
			value = pair
			s.Add(key)
		}
		s.Add(value)
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
	s.add(user)
	s.add(password)
	user, password = percent(user), percent(password)
	s.add(user + ":" + password)
	s.add(base64.StdEncoding.EncodeToString([]byte(user + ":" + password)))
}

// Add adds a text, and the words that it consists of.
func (s *Set) Add(text string) {
	s.add(text)
	for _, t := range []string{text, percent(text)} {
		for _, word := range words(t) {
			s.add(word)
		}
	}
}

// words are the parts of a text between blanks, and those between any separators.
func words(text string) []string {
	return slices.Concat(strings.Fields(text), strings.FieldsFunc(text, separates))
}

// credentials reports whether a value begins with a scheme of authentication.
func credentials(value string) bool {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(value), " ")
	scheme = strings.ToLower(scheme)
	return ok && rest != "" && (scheme == "basic" || schemes[scheme])
}

const (
	// shortestRandom is the length from which on a word may be a key that a machine made.
	shortestRandom = 16
	// longestWord is longer than words of languages, and than what people join to one.
	longestWord = 32
	// mostChanges is how often names, versions and hosts change between capitals, small letters and digits; where each character
	// is random, about one in two differs from the one before.
	mostChanges = 4
)

// random reports whether a word looks as if a machine had made it to be a secret.
func random(word string) bool {
	if len(word) < shortestRandom {
		return false
	}
	changes, run, before := 0, 0, ' '
	for _, c := range word {
		kind := ' '
		switch {
		case c >= '0' && c <= '9':
			kind = '0'
		case c >= 'a' && c <= 'z':
			kind = 'a'
		case c >= 'A' && c <= 'Z':
			kind = 'A'
		}
		if run++; kind == ' ' {
			run = 0
		}
		if run > longestWord {
			return true
		}
		if kind != before && kind != ' ' && before != ' ' && (before != 'A' || kind != 'a') { // as a name begins
			changes++
		}
		before = kind
	}
	return changes > mostChanges
}

// AddSet adds the secrets of another set.
func (s *Set) AddSet(other *Set) {
	for _, form := range other.forms {
		s.addForm(form)
	}
}

// separates tells what stands between the words of a header: scheme and token, user and password, a cookie's name and value.
func separates(c rune) bool { return strings.ContainsRune(" \t,;:=&?\"'<>(){}[]|", c) }

// add adds a text as it is, and as it looks to servers that decode it, or misread its encoding.
func (s *Set) add(text string) {
	for _, t := range []string{text, percent(text)} {
		s.addForm(t)
		if ascii(t) || len(t) < Shortest {
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

func (s *Set) addForm(text string) {
	text = strings.Trim(fold(text), " ")
	if len(text) < Shortest || schemes[strings.ToLower(text)] || s.known[text] {
		return
	}
	if s.known == nil {
		s.known = make(map[string]bool)
	}
	s.known[text] = true
	s.forms = append(s.forms, text)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

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

// Hide returns a text with [Mask] in the place of all secrets of at least [Shortest] bytes: as they are, percent-encoded, with the
// escapes of JSON or Go, with HTML's, and with two of these on top of one another, whatever is escaped and in whichever case.
// Where the text ends, or says by three dots that it was cut, the beginning of a secret is hidden as well. Of a text of more than
// 8 KiB the rest is cut off.
func (s *Set) Hide(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	if len(s.forms) == 0 {
		return text
	}
	var hidden []bool // by byte
	for _, v := range views(text) {
		folded := fold(v.text)
		for _, form := range s.forms {
			for i := range found(folded, form) {
				if hidden == nil {
					hidden = make([]bool, len(text))
				}
				for k := v.start(i.from); k < v.start(i.to); k++ {
					hidden[k] = true
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

type span struct{ from, to int }

// found yields where a form stands in a text, or its beginning where the text was cut.
func found(text, form string) func(yield func(span) bool) {
	return func(yield func(span) bool) {
		for from := 0; ; from++ {
			i := strings.Index(text[from:], form[:Shortest])
			if i < 0 {
				return
			}
			from += i
			n := Shortest
			for n < len(form) && from+n < len(text) && text[from+n] == form[n] {
				n++
			}
			if (n == len(form) || cutOff(text[from+n:])) && !yield(span{from, from + n}) {
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
	return len(rest) < len(`\u00fc`) && strings.IndexByte(`%\&`, rest[0]) >= 0 || len(rest) < utf8.UTFMax && !utf8.FullRuneInString(rest)
}

// fold makes one space of everything that stands for one in some encoding. It keeps all bytes in their places.
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

var (
	authorityRE = regexp.MustCompile(`://[^/?#\s"]*@`)
	// A query, with or without the rest of a URL before it, up to where the text around it goes on.
	queryRE = regexp.MustCompile(`\?[^\s"?]*=[^\s"]*|(://[^?#\s"]*)[?#][^\s"]*`)
)

// CleanText cuts users, passwords, queries and fragments out of the URLs in a text.
func CleanText(s string) string {
	return queryRE.ReplaceAllString(authorityRE.ReplaceAllString(s, "://"), "$1")
}

// CleanAddress is [CleanText] for what is a URL as a whole, be it valid or not.
func CleanAddress(rawURL string) string {
	_, err := url.Parse(rawURL)
	if i := strings.IndexAny(rawURL, "?#"); i >= 0 {
		rawURL = rawURL[:i]
	}
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return rawURL
	}
	if err != nil && strings.Contains(rest, "@") { // nobody knows where the password ends
		return scheme + "://" + Mask
	}
	authority, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + rest[strings.LastIndexByte(authority, '@')+1:]
}

// CleanURL writes a URL without user, query and fragment; nil as "".
func CleanURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
