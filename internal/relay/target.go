package relay

import (
	"net/http"
	"net/http/httputil"
	"strings"

	"golang.org/x/time/rate"

	"github.com/penstock/penstock/internal/nethttp"
)

// A target is a Target that requests go to.
type target struct {
	Target
	key   string         // of its limits
	wrong rate.Sometimes // people are told that it is not as configured
}

// stored is what the store calls a target: by its name, or as the only one by its server, so that
// what was stored for one server never goes to another.
func (t *target) stored() string {
	if t.Name != "" {
		return t.Name
	}
	return nethttp.Origin(t.URL)
}

// aim has a request go to the target.
func (t *target) aim(p *httputil.ProxyRequest) {
	out := p.Out
	if t.Name != "" {
		out.URL.Path = cutSegment(out.URL.Path)
		out.URL.RawPath = cutSegment(out.URL.RawPath)
	}
	out.RequestURI = ""                  // which only servers get
	out.URL.RawQuery = p.In.URL.RawQuery // with all that cannot be parsed
	p.SetURL(t.URL)
}

// asked returns what the cache is asked for, without a copy of the headers.
func (t *target) asked(req *http.Request) *http.Request {
	u := *req.URL
	out := &http.Request{Method: req.Method, URL: &u, Header: req.Header, Host: req.Host,
		Body: req.Body}
	t.aim(&httputil.ProxyRequest{In: req, Out: out})
	return out
}

// cutSegment removes the first segment of a path.
func cutSegment(path string) string {
	if path == "" {
		return ""
	}
	_, rest, _ := strings.Cut(path[1:], "/")
	return "/" + rest
}
