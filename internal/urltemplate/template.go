// Package urltemplate fills variables such as {name} into URLs, so that no value can change where a
// request goes. What variables there are, and what they stand for, is its callers' business.
package urltemplate

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/human"
)

// A Template is a URL that items are sent to, with variables in its path and query. It is immutable
// and safe for concurrent use.
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

// Parse reads an http or https URL with variables such as {name} in its path and query.
//
// A variable's name is letters, digits, '_', '-' and '.'. Whether it exists is for its callers to
// say. Text between the variables is kept byte for byte where RFC 3986 allows it; spaces,
// characters that are not ASCII and the like are percent-encoded as UTF-8. Refused are a variable
// in the scheme or host, unbalanced braces (write %7B and %7D for real ones), a fragment, a percent
// sign that begins no escape, backslashes, control characters, and "." and ".." path segments, also
// when written %2E.
//
// Credentials before the host become an Authorization header of the items and appear in no URL. No
// error quotes them.
func Parse(s string) (*Template, error) { return parse(s, true) }

// ParseURL reads a URL without variables, where braces are ordinary text.
func ParseURL(s string) (*Template, error) { return parse(s, false) }

func parse(s string, vars bool) (*Template, error) {
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
		shown := strings.TrimPrefix(conceal.Template(origin+tail), origin)
		if t.shown, err = parseTail(shown, vars); err != nil {
			return nil, err
		}
	}
	// With harmless values in place of the variables only the literal text can be at fault.
	_, err = t.Expand(func(string) (string, bool) { return "x", true })
	return t, err
}

func parseAuthority(scheme, authority string) (origin string, auth http.Header, err error) {
	if strings.ContainsAny(authority, "{}") {
		return "", nil, errors.New("a variable cannot stand in the URL's scheme, credentials or " +
			"host, only in its path and query")
	}
	at := strings.LastIndexByte(authority, '@')
	host := authority[at+1:]
	// No error below quotes its input: a password with a raw slash in it would be taken for the
	// host.
	u, err := url.Parse(scheme + "://" + host + "/")
	if err != nil {
		return "", nil, errors.New("the URL's host or port is not valid (a slash in a password " +
			"must be written %2F)")
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
		return "", nil, errors.New("the URL's user or password is not valid: percent-encode what " +
			"is special in it")
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
				return nil, fmt.Errorf("%s in the URL is no variable: its name is letters, "+
					"digits, '_', '-' and '.' (write %%7B for a real brace)",
					human.Quote("{"+name+"}"))
			}
			flush()
			parts = append(parts, part{name: name, query: query})
			i += n
		case c == '}' && vars:
			return nil, errors.New("the URL has a } without its { (write %7D for a real one)")
		case c == '#':
			return nil, errors.New("the URL has a # (what follows it is never sent; write %23 " +
				"for a real one)")
		case c == '\\':
			return nil, errors.New(`the URL has a backslash: write / (or %5C for a real one)`)
		case c < ' ' || c == 0x7f:
			return nil, fmt.Errorf("the URL has the control character %#02x", c)
		case c == '%' && (i+2 >= len(s) || strings.Trim(s[i+1:i+3], hexDigits) != ""):
			return nil, errors.New("the URL has a percent sign without two hex digits after it " +
				"(write %25 for a real one)")
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

// PathVar is the one variable whose slashes stay slashes.
const PathVar = "path"

// HasPathVar reports whether a variable stands in the path, so that each item has a resource of its
// own.
func (t *Template) HasPathVar() bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.name != "" && !p.query })
}

// IsPath reports whether {path} is the only variable and stands there once, so that different paths
// make different URLs.
func (t *Template) IsPath() bool {
	vars := slices.DeleteFunc(slices.Clone(t.parts), func(p part) bool { return p.name == "" })
	return len(vars) == 1 && vars[0].name == PathVar
}

// Vars returns the names of the variables, in order, each once.
func (t *Template) Vars() []string { return t.vars(func(part) bool { return true }) }

// QueryVars returns the names of the variables in the query, in order, each once.
func (t *Template) QueryVars() []string { return t.vars(func(p part) bool { return p.query }) }

func (t *Template) vars(are func(part) bool) (names []string) {
	for _, p := range t.parts {
		if p.name != "" && are(p) && !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	return names
}

// Authorization returns the header that the URL's credentials make; nil if it has none.
func (t *Template) Authorization() http.Header { return t.auth }

// AuthorizeLike gives t the credentials of another template, which may be nil, for the same server.
func (t *Template) AuthorizeLike(other *Template) {
	if other != nil && other.origin == t.origin {
		t.auth = other.auth
	}
}
