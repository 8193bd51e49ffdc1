package conceal

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/penstock/penstock/internal/secret"
)

var (
	schemeRE   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	urlRE      = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://|^https?:|://`)
	httpRE     = regexp.MustCompile(`(?i)^https?:$`)
	harmlessRE = regexp.MustCompile("^(?i:accept(-[a-z]+)?|cache-control|content-[a-z-]+|expect|" +
		"if-[a-z-]+|prefer|user-agent)$")
	headerRE   = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	variableRE = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_.-]*\}`)
)

// URL returns a URL without what may be secret: user and password, the values of the query, and the
// fragment. Keys of the query are kept, so that a reader still sees which parameters were sent. All
// else stays as it was written, for the URL may be a template, whose braces a parser would escape.
// So is a URL in the path of another, as proxies have them.
//
// If it is not clear which part of a URL is the password, as where net/url cannot parse one with an
// "@", or where a "?" or "#" may stand in the password, it is replaced as a whole. The path is kept
// as RFC 3986 reads it: "https://a/b@c" names the host a. URL(URL(u)) equals URL(u).
func URL(rawURL string) string {
	return masked(rawURL, func(string) string { return secret.Mask })
}

// Template is [URL] for a template of URLs: variables in its query, such as {name}, hold no
// secrets.
func Template(rawURL string) string { return masked(rawURL, maskTemplate) }

// maskTemplate masks what stands between the variables in a text.
func maskTemplate(s string) string {
	at := variableRE.FindStringIndex(s)
	switch {
	case s == "":
		return ""
	case at == nil:
		return secret.Mask
	}
	return maskTemplate(s[:at[0]]) + s[at[0]:at[1]] + maskTemplate(s[at[1]:])
}

// HeaderLine returns the line of a header without its value, which it keeps only for standard
// headers that have no secrets, such as Accept. If the line is no header, it returns [secret.Mask].
func HeaderLine(line string) string {
	name, value, ok := strings.Cut(line, ":")
	switch {
	case !ok || !headerRE.MatchString(strings.TrimSpace(name)):
		return secret.Mask
	case harmlessRE.MatchString(strings.TrimSpace(name)):
		return name + ":" + Argument(value)
	}
	return name + ": " + secret.Mask
}

// Argument returns an argument of a command line without what may be secret in a URL in it: all
// from the first one on is taken for that URL.
func Argument(arg string) string {
	if at := urlRE.FindStringIndex(arg); at != nil {
		return arg[:at[0]] + URL(arg[at[0]:])
	}
	return arg
}

// masked is [URL] with a mask of its own for the values of the query, none of them empty.
func masked(rawURL string, mask func(value string) string) string {
	switch {
	case strings.HasPrefix(rawURL, ":"):
		return secret.Mask
	case !strings.ContainsAny(rawURL, "?#@"):
		return rawURL
	}
	// A parse error, not our own splitting, must catch "https://u:p/w@host/", where the password's
	// slash ends the authority early.
	if _, err := url.Parse(rawURL); err != nil && strings.Contains(rawURL, "@") {
		return secret.Mask
	}
	rest, _, _ := strings.Cut(rawURL, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	scheme := schemeRE.FindString(rest)
	// Userinfo is looked for behind any number of slashes, also none: in "https:/u:p@host" and
	// "u:p@host" the parser sees no authority at all.
	host := strings.TrimLeft(rest[len(scheme):], "/")
	start := rest[:len(rest)-len(host)]
	path := ""
	if end := strings.IndexByte(host, '/'); end >= 0 {
		host, path = host[:end], host[end:]
	} else if strings.Contains(rawURL[len(rest):], "@") {
		return secret.Mask // "https://u#p@host": no path, and an "@" in what was cut off
	}
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		if slashes := start[len(scheme):]; slashes != "//" && !httpRE.MatchString(scheme) {
			start = "" // what looks like a scheme may be the user's name
		}
		host = host[at+1:]
	}
	if !hasQuery {
		return start + host + Argument(path)
	}
	return start + host + Argument(path) + "?" + maskQuery(query, mask)
}

func maskQuery(query string, mask func(string) string) string {
	// Only "&" separates: a server may take what follows a ";" as part of the value.
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		// Without a value, the key may itself be the token, also when it ends in "=": that is how
		// base64 is padded.
		key, value, _ := strings.Cut(pair, "=")
		if strings.Trim(value, "=") == "" {
			key, value = "", pair
		} else {
			key += "="
		}
		if value != "" {
			pairs[i] = key + mask(value)
		}
	}
	return strings.Join(pairs, "&")
}
