package send

import (
	"cmp"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/report"
)

// shortestSecret is the length from which on a text is hidden. Shorter ones are
// no secrets, and hiding them would hide much else.
const shortestSecret = 6

// secrets are texts that must not appear in any output: a server may send them
// back in what it says of a refusal. The longest come first.
type secrets []string

// newSecrets takes the values of headers and those in a URL's query, whole and
// word by word, and as they look once they are escaped.
func newSecrets(h http.Header, rawURL string) secrets {
	found := make(map[string]bool)
	add := func(text string) {
		for _, word := range append(strings.FieldsFunc(text, separates), strings.Fields(text)...) {
			found[word] = true
		}
		found[text] = true
	}
	for name, values := range h {
		if strings.HasPrefix(name, "Content-") || strings.HasPrefix(name, "Accept") {
			continue // about the content, and words such as text/csv belong in a message
		}
		for _, v := range values {
			add(v)
			if user, ok := strings.CutPrefix(v, "Basic "); ok {
				if plain, err := base64.StdEncoding.DecodeString(user); err == nil {
					add(string(plain))
				}
			}
		}
	}
	_, query, _ := strings.Cut(rawURL, "?")
	for pair := range strings.SplitSeq(query, "&") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			value = key
		}
		add(value)
		if plain, err := url.QueryUnescape(value); err == nil {
			add(plain)
		}
	}
	delete(found, "Bearer")
	for _, text := range slices.Collect(maps.Keys(found)) {
		quoted := strconv.Quote(text)
		found[quoted[1:len(quoted)-1]] = true
		found[url.QueryEscape(text)] = true
	}
	s := slices.DeleteFunc(slices.Collect(maps.Keys(found)), func(text string) bool { return len(text) < shortestSecret })
	slices.SortFunc(s, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return s
}

// separates tells what stands between the words of a header: scheme and token,
// user and password, a cookie's name and value.
func separates(c rune) bool { return strings.ContainsRune(" \t,;:=\"'", c) }

// redact returns a text that may be shown.
func (s secrets) redact(text string) string {
	for _, v := range s {
		text = strings.ReplaceAll(text, v, "***")
	}
	return report.RedactText(text)
}
