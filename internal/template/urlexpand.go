package template

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/human"
)

// Expand returns the URL with vars' values in place, percent-encoded byte by byte (UTF-8 or not)
// down to RFC 3986's unreserved characters, so that no value can change the URL's structure; only
// {path} and {dir} in the path keep their slashes. Variables that are known [Later] are left, for
// [Complete]; no other brace is.
//
// Refused are a variable that vars does not know, an empty value in the path, an empty, "." or ".."
// segment in {path} or {dir}, and a result with a "." or ".." segment: servers and proxies resolve
// those, encoded or not, also between encoded slashes and backslashes.
func (t *URL) Expand(vars Values) (string, error) {
	u, pathEnd, err := expand(t.origin, t.parts, vars)
	if err == nil && dotSegment(u[len(t.origin):pathEnd]) {
		err = errors.New("the URL's path has a . or .. segment, which servers resolve, also " +
			"where slashes are encoded")
	}
	if err != nil {
		return "", err
	}
	return u, nil
}

// Shown is Expand with "***" for the query's literal values, and checks less; "" for a URL without
// variables.
func (t *URL) Shown(vars Values) string {
	if t.shown == nil {
		return ""
	}
	u, _, _ := expand(t.origin, t.shown, vars)
	return u
}

// String returns the template without credentials and with "***" for the query's literal values, so
// that it can be shown.
func (t *URL) String() string { return t.Shown(nil) }

// expand puts the values into parts, and returns where the path ends. With nil vars the variables
// are left as they are written.
func expand(origin string, parts []part, vars Values) (u string, pathEnd int, err error) {
	var room [256]byte // on the stack: what is kept is no longer than it must be
	b := append(room[:0], origin...)
	for _, p := range parts {
		v, ok := Value{Kind: Later}, true
		if p.name != "" && vars != nil {
			v, ok = vars(p.name)
		}
		switch {
		case p.name == "":
			b = append(b, p.text...)
		case ok && v.Kind == Later:
			b = append(append(append(b, '{'), p.name...), '}')
		default:
			isPath := (p.name == PathVar || p.name == dirVar) && !p.query
			switch {
			case !ok || v.Kind == Content:
				return "", 0, &UnknownVarError{Name: p.name, Place: " in the URL"}
			case v.Text == "" && !p.query:
				return "", 0, fmt.Errorf("{%s} has no value here", p.name)
			case isPath && !validRel(v.Text):
				return "", 0, fmt.Errorf("{%s} is %s here, with an empty, . or .. segment",
					p.name, human.Quote(v.Text))
			}
			b = escape(b, v.Text, isPath)
		}
		if !p.query {
			pathEnd = len(b)
		}
	}
	return string(b), pathEnd, nil
}

// Complete returns a URL of [URL.Expand] with the values of the variables that were left in it, as
// far as they are known by now.
func Complete(url string, vars Values) (string, error) {
	if !Incomplete(url) {
		return url, nil
	}
	b := make([]byte, 0, len(url)+64)
	var err error
	scan(url, func(text string) { b = append(b, text...) }, func(name string) {
		switch v, ok := vars(name); {
		case !ok || v.Kind == Content:
			err = cmp.Or(err, error(&UnknownVarError{Name: name, Place: " in the URL"}))
		case v.Kind == Later:
			b = append(append(append(b, '{'), name...), '}')
		default:
			b = escape(b, v.Text, false)
		}
	})
	return string(b), err
}

// Incomplete reports whether variables were left in a URL of [URL.Expand].
func Incomplete(url string) bool { return strings.IndexByte(url, '{') >= 0 }

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

// dotSegment reports whether a path has a segment that is "." or ".." once decoded. Servers such as
// nginx decode before they resolve, so an encoded slash, and to some a backslash, ends a segment
// too.
func dotSegment(path string) bool {
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

const hexDigits = "0123456789ABCDEFabcdef"

// escape appends s, percent-encoded down to the unreserved characters, and to slashes where those
// are kept.
func escape(b []byte, s string, slashes bool) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; unreserved(c) || c == '/' && slashes {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

func unreserved(c byte) bool { return alphanumeric(c) || strings.IndexByte("-._~", c) >= 0 }

// literal reports whether c may stand as it is in a path and in a query (RFC 3986, section 3.3 and
// 3.4).
func literal(c byte) bool { return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@/?", c) >= 0 }

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
