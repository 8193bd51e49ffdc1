package conceal

import (
	"slices"
	"strings"
)

// A scheme is a way to put a credential into a URL's query.
type scheme struct {
	by   []string // the parameters that it is known by, if all of them are there
	with []string // others of it, which alone may mean anything
}

// schemes are those that change from run to run. Not among them are names that mean a credential to
// some and an item to others, such as key, code and id, and a signature that stands alone: what it
// signs, such as the time, is beside it under a name that is not known. An item too many is sent
// again; of two that are taken for one, one is lost.
var schemes = []scheme{
	{by: []string{"X-Amz-Signature"}, with: []string{
		"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
		"X-Amz-Security-Token", "X-Amz-SignedHeaders",
	}},
	{by: []string{"X-Goog-Signature"}, with: []string{
		"X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires",
		"X-Goog-SignedHeaders",
	}},
	{by: []string{"X-Oss-Signature"}, with: []string{
		"X-Oss-Signature-Version", "X-Oss-Credential", "X-Oss-Date", "X-Oss-Expires",
		"X-Oss-Security-Token", "X-Oss-Additional-Headers",
	}},
	// The second versions of AWS and Google, others that copied them, CloudFront with one of its
	// own policies, Laravel.
	{by: []string{"Signature", "Expires"}, with: []string{
		"AWSAccessKeyId", "GoogleAccessId", "OSSAccessKeyId", "Key-Pair-Id", "X-Amz-Security-Token",
		"Security-Token",
	}},
	{by: []string{"Signature", "Key-Pair-Id"}, with: []string{"Policy", "Hash-Algorithm"}},
	// Azure's shared access signatures: of a service, an account, a user.
	{by: []string{"sig", "sv"}, with: []string{
		"se", "st", "sp", "sr", "spr", "sip", "si", "ss", "srt", "sdd", "ses",
		"skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid", "sduoid", "skdutid",
	}},
}

// tokens stand in a query by themselves.
var tokens = []string{
	"access_token", "accesstoken", "token", "auth_token", "authtoken", "api_token",
	"private_token", "refresh_token", "id_token", "session_token", "api_key", "apikey", "api-key",
	"x-api-key", "access_key", "accesskey", "secret_key", "secretkey", "subscription-key",
	"password", "passwd", "pwd", "passphrase", "secret", "client_secret", "authorization", "jwt",
}

// Target returns a template of URLs without anything that may be a secret, so that a hash of it may
// be shown: what [WithoutCredentials] drops, and the values of the query that are the same for all
// items. A parameter without a value may be a secret as a whole. The path of a manifest is left as
// it is.
func Target(to string) string {
	if !strings.Contains(to, "://") {
		return to
	}
	to, _ = WithoutCredentials(to)
	where, query, _ := strings.Cut(to, "?")
	return where + parameters(query, func(pair string) (string, bool) {
		name, value, _ := strings.Cut(pair, "=")
		if strings.Contains(pair, "{") {
			return pair, true
		}
		return name, strings.Trim(value, "=") != ""
	})
}

// WithoutCredentials returns a URL, or a template of URLs, without its password and without the
// parameters of its query that are credentials, and the name of one of these; "" if there was none.
func WithoutCredentials(rawURL string) (_, name string) {
	where, query, found := strings.Cut(rawURL, "?")
	where = withoutPassword(where)
	if !found {
		return where, ""
	}
	missing := func(name string) bool { return !hasParameter(query, name) }
	var drop []string
	for _, s := range schemes {
		if !slices.ContainsFunc(s.by, missing) {
			drop = slices.Concat(drop, s.by, s.with)
		}
	}
	for _, name := range tokens {
		if !missing(name) {
			drop = append(drop, name)
		}
	}
	if drop == nil {
		return where + "?" + query, ""
	}
	return where + parameters(query, func(pair string) (string, bool) {
		name, _, _ := strings.Cut(pair, "=")
		is := func(other string) bool { return strings.EqualFold(name, other) }
		return pair, !slices.ContainsFunc(drop, is)
	}), drop[0]
}

// parameters returns what keep leaves of the parameters of a query, with the question mark.
func parameters(query string, keep func(pair string) (string, bool)) (left string) {
	mark := "?"
	for pair := range strings.SplitSeq(query, "&") {
		if pair, ok := keep(pair); ok {
			left += mark + pair
			mark = "&"
		}
	}
	return left
}

// withoutPassword returns a URL that has no query with its user, which says whose the items are,
// and without its password. A user without a password is a token.
func withoutPassword(rawURL string) string {
	scheme, rest, found := strings.Cut(rawURL, "://")
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if !found || at < 0 {
		return rawURL
	}
	user, password, _ := strings.Cut(rest[:at], ":")
	if user == "" || password == "" || password == "x-oauth-basic" { // as GitHub and others have it
		return scheme + "://" + rest[at+1:]
	}
	return scheme + "://" + user + rest[at:]
}

// hasParameter reports whether a query has a value of that name, in any case.
func hasParameter(query, name string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if n := len(name); len(pair) > n && pair[n] == '=' && strings.EqualFold(pair[:n], name) {
			return true
		}
	}
	return false
}
