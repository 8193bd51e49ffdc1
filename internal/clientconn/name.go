package clientconn

import (
	"net"
	"net/http"
	"strings"
)

// NameHeader names the client of a request.
const NameHeader = "X-Penstock-Client"

// named is what the names begin with that clients give themselves.
const named = "name "

// NameOf returns the name of a request's client: what it says, or else its address and program. Two
// programs on one machine have different names, and two runs of one program do not.
func NameOf(req *http.Request) string {
	if name := req.Header.Get(NameHeader); name != "" {
		return named + name
	}
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		host = req.RemoteAddr
	}
	return host + " " + req.UserAgent()
}

// GivenName returns a name of NameOf as it is shown: as the client has given it, if it has.
func GivenName(name string) string { return strings.TrimPrefix(name, named) }
