package lab

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Name is the name under which a server stores what is sent to u: the decoded path, with ? and the
// query where there is one. The path stays escaped where decoded it could be taken for another's,
// or could not be told in JSON: with %, ?, an escaped slash, or what is not UTF-8.
func Name(u *url.URL) string {
	name := u.Path
	switch {
	case strings.Contains(strings.ToUpper(u.RawPath), "%2F"):
		name = u.EscapedPath()
	case strings.ContainsAny(name, "%?") || !utf8.ValidString(name):
		name = (&url.URL{Path: name}).EscapedPath()
	}
	if u.RawQuery != "" {
		name += "?" + u.RawQuery
	}
	return name
}
