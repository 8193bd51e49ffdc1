package status

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/secret"
)

// Exposed returns a warning about what is secret and goes without encryption to a URL, or to a
// template of one; "" if nothing does. Certificate says that the user gave one to show.
func Exposed(to string, h http.Header, certificate bool) string {
	scheme, rest, _ := strings.Cut(to, "://")
	if !strings.EqualFold(scheme, "http") {
		return ""
	}
	origin := nethttp.OriginOf(to)
	if u, err := url.Parse(origin); err != nil || loopback(u.Hostname()) {
		return ""
	}
	authority, query, _ := strings.Cut(rest, "?")
	authority, _, _ = strings.Cut(authority, "/")
	var what []string
	for name, values := range h {
		if slices.ContainsFunc(values, func(v string) bool { return secret.Held(name, v) }) {
			what = append(what, "the header "+name)
		}
	}
	slices.Sort(what)
	if strings.Contains(authority, "@") {
		what = append(what, "the password in the URL")
	}
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(pair, "="); value != "" && secret.Named(name) {
			what = append(what, name+" in the URL")
		}
	}
	verb := " is"
	switch last := len(what) - 1; {
	case last < 0 && certificate:
		return "--cert has no effect, since " + origin + " is reached without TLS: use https://"
	case last < 0:
		return ""
	case last > 0:
		what, verb = []string{strings.Join(what[:last], ", ") + " and " + what[last]}, " are"
	}
	return what[0] + verb + " sent to " + origin +
		" without TLS, where others can read it: use https://"
}

// loopback reports whether a host is this machine: what goes there is on no wire.
func loopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
