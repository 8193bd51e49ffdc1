package template

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
)

// A URL is a template of the URLs that items are sent to, with variables in path and query. It is
// immutable and safe for concurrent use.
type URL struct {
	origin string // scheme://host[:port], lower case, without credentials
	parts  []part // path, then query
	shown  []part // the same with the query's literal values masked; nil without variables
	auth   http.Header
}

// ParseURL reads an http or https URL with variables such as {name} in its path and query.
//
// Whether a variable exists is for its callers to say. Text between the variables is kept byte for
// byte where RFC 3986 allows it; spaces, braces, characters that are not ASCII and the like are
// percent-encoded as UTF-8. Refused are a variable in the scheme or host, {base64}, a fragment, a
// percent sign that begins no escape, backslashes, control characters, and "." and ".." path
// segments, also when written %2E.
//
// Credentials before the host become an Authorization header of the items and appear in no URL. No
// error quotes them.
func ParseURL(s string) (*URL, error) { return parse(s, true) }

// LiteralURL reads a URL without variables, where braces are ordinary text.
func LiteralURL(s string) (*URL, error) { return parse(s, false) }

func parse(s string, vars bool) (*URL, error) {
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
	if vars {
		tail = encodeBraces(tail)
	}
	t := &URL{origin: origin, auth: auth}
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
	_, err = t.Expand(func(string) (Value, bool) { return Value{Text: "x"}, true })
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

// encodeBraces percent-encodes the braces of a text that are not those of variables.
func encodeBraces(s string) string {
	if strings.IndexByte(s, '{') < 0 {
		return s
	}
	var b strings.Builder
	scan(s, func(text string) { _, _ = braces.WriteString(&b, text) },
		func(name string) { b.WriteString("{" + name + "}") })
	return b.String()
}

var braces = strings.NewReplacer("{", "%7B", "}", "%7D")

// parseTail cuts path and query into parts. With vars its only braces are those of variables.
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
			name := variableAt(s[i:])
			if name == contentVar {
				return nil, errors.New("{base64} is the whole file, and too long for a URL: it " +
					"can be in bodies and form fields")
			}
			flush()
			parts = append(parts, part{name: name, query: query})
			i += len(name) + 1
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

// HasPathVar reports whether a variable stands in the path, so that each item has a resource of its
// own.
func (t *URL) HasPathVar() bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.name != "" && !p.query })
}

// IsPath reports whether {path} is the only variable and stands there once, so that different paths
// make different URLs.
func (t *URL) IsPath() bool {
	vars := slices.DeleteFunc(slices.Clone(t.parts), func(p part) bool { return p.name == "" })
	return len(vars) == 1 && vars[0].name == PathVar
}

// Vars returns the names of the variables, in order, each once.
func (t *URL) Vars() []string { return names(t.parts, func(part) bool { return true }) }

// QueryVars returns the names of the variables in the query, in order, each once.
func (t *URL) QueryVars() []string { return names(t.parts, func(p part) bool { return p.query }) }

// Authorization returns the header that the URL's credentials make; nil if it has none.
func (t *URL) Authorization() http.Header { return t.auth }

// AuthorizeLike gives t the credentials of another template, which may be nil, for the same server.
func (t *URL) AuthorizeLike(other *URL) {
	if other != nil && other.origin == t.origin {
		t.auth = other.auth
	}
}
