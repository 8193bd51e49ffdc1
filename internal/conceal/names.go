package conceal

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/secret"
)

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

// Credential reports whether a header is a credential for certain, by the last parts of its name or
// by the form of a value. It is stricter than [secret.Held]: hiding too much in a message does no
// harm, but if two items are taken for one, one is never sent.
func Credential(name string, values []string) bool {
	return secret.Named(name) && certain(name) || slices.ContainsFunc(values, isAuthorization)
}

// certain reports whether a name is that of a credential, by its last parts.
func certain(header string) bool {
	between := func(r rune) bool { return strings.ContainsRune("-_.", r) }
	parts := strings.FieldsFunc(strings.ToLower(header), between)
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
// Authorization. A text that begins with the name of such a scheme is not a credential.
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

const (
	// shortestRandom is the length from which on a word may be a key that a machine made.
	shortestRandom = 16
	// longestWord is longer than words of languages, and than what people join to one.
	longestWord = 32
	// mostChanges is how often names, versions and hosts change between capitals, small letters and
	// digits; where each character is random, about one in two differs from the one before.
	mostChanges = 4
)

// random reports whether a word looks as if a machine had made it to be a secret.
func random(word string) bool {
	if len(word) < shortestRandom {
		return false
	}
	changes, run, before := 0, 0, ' '
	for _, c := range word {
		kind := ' '
		switch {
		case c >= '0' && c <= '9':
			kind = '0'
		case c >= 'a' && c <= 'z':
			kind = 'a'
		case c >= 'A' && c <= 'Z':
			kind = 'A'
		}
		if run++; kind == ' ' {
			run = 0
		}
		if run > longestWord {
			return true
		}
		if kind != before && kind != ' ' && before != ' ' &&
			(before != 'A' || kind != 'a') { // as a name begins
			changes++
		}
		before = kind
	}
	return changes > mostChanges
}
