package cache

import (
	"net/http"
	"net/url"
	"strings"
)

// A key names what a GET or HEAD is about: its target URL. It is made without allocation where the
// URL is in its usual form.
type key struct {
	scheme string
	server string // where the request is sent
	host   string // what it asks for there: the Host header
	path   string
	query  string
	mark   bool // there is a ? even if the query is empty
}

func keyOf(u *url.URL, host string) key {
	k := key{scheme: strings.ToLower(u.Scheme), path: u.Opaque, query: u.RawQuery,
		mark: u.ForceQuery || u.RawQuery != ""}
	k.server = authority(k.scheme, u.Host)
	k.host = k.server
	if host != "" && host != u.Host {
		k.host = authority(k.scheme, host)
	}
	if k.path == "" {
		k.path = u.EscapedPath()
	}
	if k.path == "" {
		k.path = "/"
	}
	return k
}

// authority returns a host in lower case and without the scheme's own port.
func authority(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return host
}

// size returns how many bytes the key's texts have.
func (k *key) size() int {
	return len(k.scheme) + len(k.server) + len(k.host) + len(k.path) + len(k.query)
}

// clone returns a key that keeps nothing of the request alive: its texts may be parts of larger
// ones.
func (k key) clone() key {
	k.scheme, k.server = strings.Clone(k.scheme), strings.Clone(k.server)
	k.host, k.path = strings.Clone(k.host), strings.Clone(k.path)
	k.query = strings.Clone(k.query)
	return k
}

// A field is a request header that a response varies with, and its value, normalised.
type field struct{ name, value string }

// varying returns what a response varies with, and the request's values of that. It reports false
// for a response that varies with more than headers.
func varying(resp, req http.Header) ([]field, bool) {
	var fields []field
	for _, line := range resp["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			switch name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name {
			case "":
			case "*":
				return nil, false
			default:
				fields = append(fields, field{name, strings.Clone(normal(name, req[name]))})
			}
		}
	}
	return fields, true
}

// alike reports whether a request has the values that a response was selected by.
func alike(fields []field, req http.Header) bool {
	for _, f := range fields {
		if normal(f.name, req[f.name]) != f.value {
			return false
		}
	}
	return true
}

// normal returns the lines of a header as one, with the white space that means nothing gone, and in
// lower case where case means nothing (RFC 9111, section 4.1). An absent header differs from an
// empty one.
func normal(name string, lines []string) string {
	if len(lines) == 0 {
		return "\x00" // no header's value
	}
	s := lines[0]
	if len(lines) > 1 {
		s = strings.Join(lines, ",")
	}
	switch name {
	case "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language":
		s = strings.ToLower(s)
	}
	if strings.ContainsAny(s, " \t") {
		var b strings.Builder
		for part := range elements(s) {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(part)
		}
		s = b.String()
	}
	return s
}
