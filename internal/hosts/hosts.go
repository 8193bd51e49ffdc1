// Package hosts knows by which names a server on this machine may be called. A page of another site
// can have a browser call a name of its own that leads to this machine (DNS rebinding). A request
// to such a name is not for us.
package hosts

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Names are what a server may be called by, besides addresses and what ends in .localhost. The zero
// value has none.
type Names []string

// New returns the names for a listener: those that are given, and the usual names of this machine.
func New(given []string, listen net.Addr) Names {
	names := Names{"localhost"}
	for _, name := range given {
		names = append(names, strings.ToLower(name))
	}
	if addr, ok := listen.(*net.TCPAddr); ok && !addr.IP.IsLoopback() {
		if name, err := os.Hostname(); err == nil {
			names = append(names, strings.ToLower(name))
		}
	}
	return names
}

// Allow reports whether a request with that Host is for the server.
func (n Names) Allow(host string) bool {
	name := strings.ToLower(host)
	if name == "" { // of HTTP/1.0, which no browser speaks
		return true
	}
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	if slices.Contains(n, name) || strings.HasSuffix(name, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil // no name was looked up
}

// Foreign reports whether a browser sends a request for a page of another origin. Such a page must
// not use what a server lends to the programs of its machine, such as credentials. Programs that
// are no browsers send neither of these headers.
func Foreign(req *http.Request) bool {
	switch req.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		origin := req.Header.Get("Origin") // of older browsers
		u, err := url.Parse(origin)
		return origin != "" && (err != nil || u.Host != req.Host)
	}
	return true
}

// Only returns a handler of the requests that are for the server. It refuses others.
func (n Names) Only(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !n.Allow(req.Host) {
			http.Error(w, "this server does not have that name: use localhost or its address",
				http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, req)
	})
}
