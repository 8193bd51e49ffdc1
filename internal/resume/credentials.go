package resume

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/secret"
)

// Uncounted returns the names of the headers by which two items do not differ.
func Uncounted(h http.Header) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if isLeftOut(name, h[name]) {
			names = append(names, name)
		}
	}
	return names
}

// isLeftOut reports whether a header tells nothing of an item: it is a credential, or changes from
// run to run.
func isLeftOut(name string, values []string) bool {
	return slices.Contains(dateHeaders, name) || isCredential(name) ||
		slices.ContainsFunc(values, isAuthorization)
}

// dateHeaders say when a request is sent, as signature schemes do.
var dateHeaders = []string{"Date", "X-Amz-Date", "X-Goog-Date", "X-Ms-Date"}

// credentialParts are the last parts of names of credentials.
var credentialParts = []string{
	"auth", "bearer", "cookie", "csrf", "jwt", "otp", "pass", "pin", "pwd", "session", "sid",
	"signature", "xsrf",
}

// credentialWords also end a part, as in AccessToken.
var credentialWords = []string{
	"accesskey", "apikey", "authentication", "authkey", "authorization", "credential",
	"credentials", "oauth", "passcode", "passphrase", "passwd", "password", "pincode",
	"privatekey", "secret", "secretkey", "sessid", "sessionid", "token",
}

// credentialKeys stand before a "Key" that is a credential.
var credentialKeys = []string{
	"access", "account", "admin", "app", "application", "auth", "authentication", "authorization",
	"consumer", "developer", "encryption", "functions", "license", "master", "private", "secret",
	"security", "session", "shared", "signature", "signing", "subscription",
}

// variants stand behind the name of a credential, without their digits, as in X-Hub-Signature-256.
var variants = []string{"", "basic", "code", "ed", "hmac", "md", "sha", "v", "value"}

// isCredential reports whether a header is a credential by the last parts of its name. Of the names
// that are kept out of messages these are a few: there it does no harm to hide too much, but of two
// items that are taken for one, one is lost.
func isCredential(header string) bool {
	if !secret.Named(header) {
		return false
	}
	separates := func(r rune) bool { return strings.ContainsRune("-_.", r) }
	parts := strings.FieldsFunc(strings.ToLower(header), separates)
	for n := len(parts) - 1; n >= 0; n-- {
		last := strings.TrimRight(parts[n], "0123456789")
		ends := func(word string) bool { return strings.HasSuffix(last, word) }
		before := ""
		if n > 0 {
			before = parts[n-1]
		}
		switch {
		case last == "key":
			return slices.Contains(credentialKeys, before) || strings.HasSuffix(before, "api") ||
				slices.Contains(parts[:n], "encryption")
		case last == "id" && before == "session", last == "code" && before == "access",
			slices.Contains(credentialParts, last), slices.ContainsFunc(credentialWords, ends):
			return true
		case last == "id" && before == "key", last == "input" && before == "signature",
			slices.Contains(variants, last):
			// It goes with what stands before it.
		default:
			return false
		}
	}
	return false
}

// isAuthorization reports whether a header's value is a credential by its form, which is that of
// Authorization. A text that begins with the name of such a scheme is none.
func isAuthorization(value string) bool {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "basic":
		pair, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(rest, "="))
		return err == nil && slices.Contains(pair, ':')
	case "bearer", "negotiate":
		return rest != "" && !strings.Contains(rest, " ")
	case "digest":
		return strings.Contains(rest, "response=")
	}
	return false
}

// A scheme is a way to put a credential into a URL's query.
type scheme struct {
	by   []string // the parameters that it is known by, if all of them are there
	with []string // others of it, which alone may mean anything
}

// schemes are those that change from run to run. Not among them are names that mean a credential to
// some and an item to others, such as key, code and id, and a signature that stands alone: what it
// signs, such as the time, is beside it under a name that nobody knows. An item too many is sent
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

// JournalTarget returns the URL that a journal is named by. The name is shown, and has a hash of
// this: so no value of the query counts that is the same for all items, for any of them may be a
// secret. A parameter without a value may be one as a whole. The path of a manifest is left as it
// is.
func JournalTarget(to string) string {
	if !strings.Contains(to, "://") {
		return to
	}
	to, _ = withoutCredentials(to)
	where, query, _ := strings.Cut(to, "?")
	return where + parameters(query, func(pair string) (string, bool) {
		name, value, _ := strings.Cut(pair, "=")
		if strings.Contains(pair, "{") {
			return pair, true
		}
		return name, strings.Trim(value, "=") != ""
	})
}

// withoutCredentials returns a URL, or a template of URLs, without its password and without the
// parameters of its query that are credentials, and whether there were any of these.
func withoutCredentials(rawURL string) (_ string, any bool) {
	where, query, found := strings.Cut(rawURL, "?")
	where = withoutPassword(where)
	if !found {
		return where, false
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
		return where + "?" + query, false
	}
	return where + parameters(query, func(pair string) (string, bool) {
		name, _, _ := strings.Cut(pair, "=")
		is := func(other string) bool { return strings.EqualFold(name, other) }
		return pair, !slices.ContainsFunc(drop, is)
	}), true
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
