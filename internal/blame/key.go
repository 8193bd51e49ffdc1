package blame

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"

	"github.com/penstock/penstock/internal/nethttp"
)

// A Key is what the requests of one kind have in common. It is a hash, for what it is made of holds
// credentials.
type Key [sha256.Size]byte

// KeyOf returns the key of requests that a caller calls alike.
func KeyOf(name string) Key { return sha256.Sum256([]byte(name)) }

// Of returns a request's key: that of its origin, method and account.
func Of(req *http.Request) Key {
	var b strings.Builder
	write(&b, nethttp.Origin(req.URL), nethttp.Method(req))
	for _, name := range accountHeaders {
		for _, value := range req.Header[name] {
			write(&b, name, account(value))
		}
	}
	if u := req.URL; u != nil {
		if u.User != nil {
			write(&b, u.User.String())
		}
		if u.RawQuery != "" {
			query, _ := url.ParseQuery(u.RawQuery) // what can be read of it
			for _, name := range accountParameters {
				for _, value := range query[name] {
					write(&b, name, value)
				}
			}
		}
	}
	return KeyOf(b.String())
}

func write(b *strings.Builder, parts ...string) {
	for _, part := range parts {
		b.WriteString(part)
		b.WriteByte(0)
	}
}

// accountHeaders name the account of a request. A cookie is not one of them: many change with each
// answer.
var accountHeaders = [...]string{
	"Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "Apikey", "X-Auth-Token",
	"X-Auth-Key", "X-Access-Token", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key", "Private-Token",
	"X-Shopify-Access-Token",
}

// accountParameters are those of a query that do. The names "key" and "token" are not among them:
// in uploads they often name the one object.
var accountParameters = [...]string{"api_key", "apikey", "access_token"}

// account returns the part of a header's value that names the account. Behind it a signature has
// what differs from request to request.
func account(value string) string {
	value, _, _ = strings.Cut(value, ",")
	scheme, rest, found := strings.Cut(value, " ")
	if found && !strings.EqualFold(scheme, "Basic") && !strings.EqualFold(scheme, "Bearer") {
		rest, _, _ = strings.Cut(rest, ":")
		return scheme + " " + rest
	}
	return value
}
