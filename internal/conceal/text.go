package conceal

import (
	"regexp"
	"strings"
)

// Go's errors quote a URL, and one that did not parse may hold a space. A bare one ends at white
// space and nowhere else, since any other byte may be part of a careless secret.
var textRE = regexp.MustCompile(`(?s)"[a-zA-Z0-9+.-]*://(?:[^"\\]|\\.)*\\?"?|` +
	`[a-zA-Z0-9+.-]*://[^ \t\r\n]*`)

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
