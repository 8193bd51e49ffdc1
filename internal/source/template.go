package source

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/secret"
)

// pathVar is the one variable whose slashes stay slashes.
const pathVar = "path"

// Template is the URL that items are sent to, with variables in its path and query. It is immutable and safe for
// concurrent use.
type Template struct {
	origin string // scheme://host[:port], lower case, without credentials
	parts  []part // path, then query
	shown  []part // the same with the query's literal values masked; nil without variables
	auth   http.Header
}

// A part is literal text, ready to be sent, or a variable.
type part struct {
	text  string
	name  string // not empty: a variable
	query bool
}

// ParseTemplate reads an http or https URL with variables such as {name} in its path and query.
//
// A variable's name is letters, digits, '_', '-' and '.'. Whether it exists is for [New] to say. Text between the variables is kept byte for
// byte where RFC 3986 allows it; spaces, characters that are not ASCII and the like are percent-encoded as UTF-8. Refused
// are a variable in the scheme or host, unbalanced braces (write %7B and %7D for real ones), a fragment, a percent
// sign that begins no escape, backslashes, control characters, and "." and ".." path segments, also when written %2E.
//
// Credentials before the host become an Authorization header of the items and appear in no URL. No error quotes them.
func ParseTemplate(s string) (*Template, error) {
	t, err := parseURL(s, true)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	return t, nil
}

// parseURL is ParseTemplate, and with vars false the reader of a plain URL, where braces are ordinary text.
func parseURL(s string, vars bool) (*Template, error) {
	scheme, rest, found := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !found || scheme != "http" && scheme != "https" {
		return nil, errors.New("the URL must begin with http:// or https://")
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	origin, auth, err := parseAuthority(scheme, authority)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(tail, "/") {
		tail = "/" + tail
	}
	t := &Template{origin: origin, auth: auth}
	if t.parts, err = parseTail(tail, vars); err != nil {
		return nil, err
	}
	if vars {
		shown := strings.TrimPrefix(secret.Template(origin+tail), origin)
		if t.shown, err = parseTail(shown, vars); err != nil {
			return nil, err
		}
	}
	// With harmless values in place of the variables only the literal text can be at fault.
	_, err = expand(t.origin, t.parts, func(string) (string, bool) { return "x", true })
	return t, err
}

func parseAuthority(scheme, authority string) (origin string, auth http.Header, err error) {
	if strings.ContainsAny(authority, "{}") {
		return "", nil, errors.New("a variable cannot stand in the URL's scheme, credentials or host, only in its path and query")
	}
	at := strings.LastIndexByte(authority, '@')
	host := authority[at+1:]
	// No error below quotes its input: a password with a raw slash in it would be taken for the host.
	u, err := url.Parse(scheme + "://" + host + "/")
	if err != nil {
		return "", nil, errors.New("the URL's host or port is not valid (a slash in a password must be written %2F)")
	}
	if u.Hostname() == "" {
		return "", nil, errors.New("the URL has no host")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return "", nil, errors.New("the URL's port is not between 1 and 65535")
		}
	}
	origin = scheme + "://" + strings.ToLower(host)
	if at < 0 {
		return origin, nil, nil
	}
	u, err = url.Parse(scheme + "://" + authority[:at] + "@host/")
	if err != nil {
		return "", nil, errors.New("the URL's user or password is not valid: percent-encode what is special in it")
	}
	password, _ := u.User.Password()
	basic := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
	return origin, http.Header{"Authorization": {"Basic " + basic}}, nil
}

// parseTail cuts path and query into parts.
func parseTail(s string, vars bool) ([]part, error) {
	var parts []part
	var lit []byte
	query := false
	flush := func() {
		if len(lit) > 0 {
			parts = append(parts, part{text: string(lit), query: query})
			lit = lit[:0]
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '{' && vars:
			n := strings.IndexByte(s[i:], '}')
			if n < 0 {
				return nil, errors.New("the URL has a { without its } (write %7B for a real one)")
			}
			name := s[i+1 : i+n]
			if !validVar(name) {
				return nil, fmt.Errorf("%s in the URL is no variable: its name is letters, digits, '_', '-' and '.' (write %%7B for a real brace)",
					printable("{"+name+"}"))
			}
			flush()
			parts = append(parts, part{name: name, query: query})
			i += n
		case c == '}' && vars:
			return nil, errors.New("the URL has a } without its { (write %7D for a real one)")
		case c == '#':
			return nil, errors.New("the URL has a # (what follows it is never sent; write %23 for a real one)")
		case c == '\\':
			return nil, errors.New(`the URL has a backslash: write / (or %5C for a real one)`)
		case c < ' ' || c == 0x7f:
			return nil, fmt.Errorf("the URL has the control character %#02x", c)
		case c == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])):
			return nil, errors.New("the URL has a percent sign without two hex digits after it (write %25 for a real one)")
		case c == '?' && !query:
			flush()
			query = true
			lit = append(lit, c)
		case c == '%' || literal(c) || query && (c == '[' || c == ']'):
			lit = append(lit, c)
		default:
			lit = escape(lit, s[i:i+1], false)
		}
	}
	flush()
	return parts, nil
}

// HasPathVar reports whether a variable stands in the path, so that each item has a resource of its own.
func (t *Template) HasPathVar() bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.name != "" && !p.query })
}

// isPath reports whether {path} is the only variable and stands there once, so that different paths make different URLs.
func (t *Template) isPath() bool {
	n := 0
	for _, p := range t.parts {
		if p.name != "" && p.name != pathVar {
			return false
		}
		if p.name != "" {
			n++
		}
	}
	return n == 1
}

// Vars returns the names of the variables, in order, each once.
func (t *Template) Vars() []string {
	var names []string
	for _, p := range t.parts {
		if p.name != "" && !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	return names
}

// asksForFields reports whether a manifest's own field stands in the query, where it may be a secret.
func (t *Template) asksForFields() bool {
	return slices.ContainsFunc(t.parts, func(p part) bool {
		_, ofFile := fileVar(Item{}, p.name)
		return p.query && p.name != "" && !ofFile
	})
}

// HasCredentials reports whether the URL came with a user and password.
func (t *Template) HasCredentials() bool { return t.auth != nil }

// String returns the template without credentials and with "***" for the query's literal values, so that it can be shown.
func (t *Template) String() string {
	s, _ := expand(t.origin, t.shown, nil)
	return s
}

// Expand returns the URL with vars' values in place, percent-encoded byte by byte (UTF-8 or not) down to RFC 3986's
// unreserved characters, so that no value can change the URL's structure; only {path} in the path keeps its slashes.
//
// Refused are a variable that vars does not know, an empty value in the path, an empty, "." or ".." segment in {path},
// and a result with a "." or ".." segment: servers and proxies resolve those, encoded or not, also between encoded slashes and backslashes.
func (t *Template) Expand(vars func(name string) (string, bool)) (string, error) {
	u, err := expand(t.origin, t.parts, vars)
	if err != nil {
		return "", fmt.Errorf("source: %w", err)
	}
	return u, nil
}

// expand with nil vars leaves the variables as they are written, and checks nothing.
func expand(origin string, parts []part, vars func(string) (string, bool)) (string, error) {
	var room [256]byte // on the stack: what is kept is no longer than it must be
	b := append(room[:0], origin...)
	pathEnd := -1
	for _, p := range parts {
		if p.query && pathEnd < 0 {
			pathEnd = len(b)
		}
		if p.name == "" {
			b = append(b, p.text...)
			continue
		}
		if vars == nil {
			b = append(append(append(b, '{'), p.name...), '}')
			continue
		}
		v, ok := vars(p.name)
		if !ok {
			return "", unknownVar(p.name)
		}
		if v == "" && !p.query {
			return "", fmt.Errorf("{%s} has no value here", p.name)
		}
		if p.name != pathVar {
			b = escape(b, v, false)
			continue
		}
		if !validRel(v) {
			return "", fmt.Errorf("{path} is %s here, with an empty, . or .. segment", printable(v))
		}
		b = escape(b, v, !p.query)
	}
	if pathEnd < 0 {
		pathEnd = len(b)
	}
	if vars != nil && dotSegment(b[len(origin):pathEnd]) {
		return "", errors.New("the URL's path has a . or .. segment, which servers resolve, also where slashes are encoded")
	}
	return string(b), nil
}

// validRel reports whether no segment of a relative path is empty, "." or "..".
func validRel(rel string) bool {
	for more := true; more; {
		var seg string
		seg, rel, more = strings.Cut(rel, "/")
		if seg == "" || seg == "." || seg == ".." {
			return false
		}
	}
	return true
}

func unknownVar(name string) error {
	return fmt.Errorf("unknown variable {%s} in the URL: there are {name}, {path}, {stem}, {ext} and a manifest line's own fields", name)
}

// dotSegment reports whether a path has a segment that is "." or ".." once decoded. Servers such as nginx decode before they
// resolve, so an encoded slash, and to some a backslash, ends a segment too.
func dotSegment(path []byte) bool {
	dots := 0 // that are all of the segment so far; -1: there is more in it
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			i += 2
		}
		switch {
		case c == '/' || c == '\\':
			if dots == 1 || dots == 2 {
				return true
			}
			dots = 0
		case c == '.' && dots >= 0:
			dots++
		default:
			dots = -1
		}
	}
	return dots == 1 || dots == 2
}

const upperHex = "0123456789ABCDEF"

// escape appends s, percent-encoded down to the unreserved characters, and to slashes where those are kept.
func escape(b []byte, s string, slashes bool) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; unreserved(c) || c == '/' && slashes {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

func unreserved(c byte) bool { return alphanumeric(c) || strings.IndexByte("-._~", c) >= 0 }

// literal reports whether c may stand as it is in a path and in a query (RFC 3986, section 3.3 and 3.4).
func literal(c byte) bool { return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@/?", c) >= 0 }

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

func validVar(s string) bool {
	for i := 0; i < len(s); i++ {
		if !alphanumeric(s[i]) && strings.IndexByte("_-.", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// printable quotes what came from outside, so that an error stays one line of bearable length whatever a name contains. A path's
// end tells more than its middle.
func printable(s string) string {
	const most, part = 400, 150
	if len(s) > most {
		s = strings.ToValidUTF8(s[:part], "") + "…" + strings.ToValidUTF8(s[len(s)-part:], "")
	}
	return strconv.Quote(s)
}
