package nethttp

import (
	"net/url"
	"strings"
)

// Origin returns scheme, host and port of a URL as RFC 6454 serialises them: in lower case, without
// a default port. If u is nil, it returns "".
func Origin(u *url.URL) string {
	if u == nil {
		return ""
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	port := u.Port()
	if port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return scheme + "://" + host
}

// Downgrades reports whether a redirect leads from https to http, where others can read what is
// sent and change it.
func Downgrades(from, to *url.URL) bool { return from.Scheme == "https" && to.Scheme == "http" }

// OriginOf is [Origin] for the text of a URL, or of a template of URLs whose variables stand behind
// the host.
func OriginOf(rawURL string) string {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	host := rest[strings.LastIndexByte(rest, '@')+1:]
	if u, err := url.Parse(scheme + "://" + host); err == nil {
		return Origin(u)
	}
	return Origin(&url.URL{Scheme: scheme, Host: host})
}
