// Package secret keeps secrets out of texts that people see: of errors, events and URLs. A
// request's secrets are the values of those headers that are named like credentials or begin like
// them, the user and password of its URL, and the values of its query. A server may send any of
// them back, in a reason phrase, a Location or what is no HTTP at all, and then they are in an
// error.
//
// A [Set] finds what is known to be secret, as it was sent and in the usual encodings. [Set.TextOf]
// also strips user, password, query and fragment from the URLs in an error. The package makes no
// text safe for a terminal.
package secret

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Shortest is the length in bytes from which on a text is hidden. What is shorter occurs by chance,
// and to hide it would hide much else.
const Shortest = 6

// Mask stands where something was hidden.
const Mask = "***"

// MaxText is how many bytes of a text are looked at; the rest is cut off. Its author may be
// hostile.
const MaxText = 8 << 10

// A Set is the secrets of a request. The zero value has none.
type Set struct {
	forms []string // each in all its encodings, the longest first
}

// Of returns the secrets of a request, of which there may be several versions: as the caller gave
// it and as it was sent. Those that are nil have none.
func Of(reqs ...*http.Request) *Set {
	var forms []string
	add := func(text string) {
		if len(text) >= Shortest && !Scheme(text) {
			quoted := strconv.Quote(text)
			forms = append(forms, text, url.QueryEscape(text), url.PathEscape(text),
				quoted[1:len(quoted)-1])
		}
	}
	for _, req := range reqs {
		if req == nil {
			continue
		}
		var u string
		if req.URL != nil {
			u = req.URL.String()
		}
		for _, text := range Values(req.Header, u) {
			add(text)
			add(Unescape(text))
		}
	}
	slices.SortFunc(forms, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	return &Set{slices.Compact(forms)}
}

// Hide returns a text with [Mask] in the place of all secrets of at least six bytes: as they were
// sent, escaped as in a URL, or as Go quotes them. Of a text of more than 8 KiB the rest is cut
// off.
func (s *Set) Hide(text string) string {
	text = text[:min(len(text), MaxText)]
	for _, form := range s.forms {
		text = strings.ReplaceAll(text, form, Mask)
	}
	return text
}

// Values returns the secrets of a request with such headers and URLs, of which any may be invalid,
// in no order. Of headers these are the values of those that are [Held]: whole, word by word, and
// what Basic credentials encode. Of URLs these are user and password, as they are written, as they
// are meant and as a header says them, and the values of the query; what has no key is a value.
func Values(h http.Header, urls ...string) (all []string) {
	withWords := func(text string) {
		all = slices.Concat(all, []string{text}, Words(text), Words(Unescape(text)))
	}
	for name, values := range h {
		for _, v := range values {
			if !Held(name, v) {
				continue
			}
			withWords(v)
			scheme, rest, _ := strings.Cut(strings.TrimSpace(v), " ")
			if pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest)); err == nil &&
				strings.EqualFold(scheme, "Basic") {
				user, password, _ := strings.Cut(string(pair), ":")
				all = append(all, string(pair), user, password)
			}
		}
	}
	for _, u := range urls {
		u, _, _ = strings.Cut(u, "#")
		where, query, _ := strings.Cut(u, "?")
		for pair := range strings.SplitSeq(query, "&") {
			key, value, ok := strings.Cut(pair, "=")
			if !ok || strings.Trim(value, "=") == "" { // so ends base64, too
				value = pair
				withWords(key)
			}
			withWords(value)
		}
		if _, after, ok := strings.Cut(where, "//"); ok {
			where = after
		}
		authority, _, _ := strings.Cut(where, "/")
		if i := strings.LastIndexByte(authority, '@'); i >= 0 {
			user, password, _ := strings.Cut(authority[:i], ":")
			pair := Unescape(user) + ":" + Unescape(password)
			all = append(all, user, password, pair, base64.StdEncoding.EncodeToString([]byte(pair)))
		}
	}
	return all
}

// Words returns the parts of a text between blanks, and those between any separators: scheme and
// token, user and password, a cookie's name and value.
func Words(text string) []string {
	separates := func(c rune) bool { return strings.ContainsRune(" \t,;:=&?\"'<>(){}[]|", c) }
	return slices.Concat(strings.Fields(text), strings.FieldsFunc(text, separates))
}

// Unescape undoes percent-encoding, as far as it is some.
func Unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) && s[i] == '%' {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
