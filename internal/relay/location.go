package relay

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/penstock/penstock/internal/nethttp"
)

// localise has an answer name places of the target as a client reaches them by the relay. A client
// that went to the target itself would go without the relay's pace and headers.
func (t *target) localise(h http.Header) {
	for _, name := range [...]string{"Location", "Content-Location"} {
		if place := h.Get(name); place != "" {
			h.Set(name, t.local(place))
		}
	}
}

// local returns a place that the target names as it is below the relay. A place that is not below
// the target's URL, or that is relative to the request's, stays what it is.
func (t *target) local(place string) string {
	u, err := url.Parse(place)
	if err != nil || u.Opaque != "" || u.Host == "" && !strings.HasPrefix(u.Path, "/") {
		return place
	}
	at := t.URL.ResolveReference(u)
	if nethttp.Origin(at) != t.key {
		return place
	}
	rest, below := strings.CutPrefix(at.EscapedPath(), strings.TrimSuffix(t.URL.EscapedPath(), "/"))
	if !below || rest != "" && rest[0] != '/' {
		return place
	}
	if rest == "" {
		rest = "/"
	}
	switch {
	case t.Name != "":
		rest = "/" + url.PathEscape(t.Name) + rest
	case strings.HasPrefix(rest, "//"): // else it would begin with a host
		rest = "/." + rest
	}
	if query := withoutOwn(at.RawQuery, t.URL.RawQuery); query != "" {
		rest += "?" + query
	}
	if at.Fragment != "" {
		rest += "#" + at.EscapedFragment()
	}
	return rest
}

// withoutOwn returns a query without the target's own, which comes to each request again.
func withoutOwn(query, own string) string {
	if own == "" {
		return query
	}
	if rest, ok := strings.CutPrefix(query+"&", own+"&"); ok {
		return strings.TrimSuffix(rest, "&")
	}
	return query
}
