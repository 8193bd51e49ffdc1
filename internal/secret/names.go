package secret

import (
	"regexp"
	"slices"
	"strings"
)

// plainHeaders are about the content, or name a request: they belong in messages, however random
// they look.
var plainHeaders = []string{
	"accept", "accept-charset", "accept-encoding", "accept-language", "content-digest",
	"content-disposition", "content-encoding", "content-language", "content-length", "content-md5",
	"content-type", "digest", "repr-digest", "user-agent",
}

// secretName finds names of headers whose values are secrets, whatever they look like.
var secretName = regexp.MustCompile(`(?i)auth|cookie|key|token|secret|pass|pwd|sign|credential|` +
	`session|sid\b|jwt|otp\b|pin\b|access|private|csrf|xsrf|bearer`)

// Named reports whether the value of a header, or of a parameter of a query, is a secret by its
// name.
func Named(name string) bool {
	return secretName.MatchString(name) && !Plain(name)
}

// Held reports whether a header's value is a secret as a whole: by the header's name, or since it
// begins like credentials.
func Held(name, value string) bool {
	return !Plain(name) && (secretName.MatchString(name) || credentials(value))
}

// Plain reports whether a header does not hold secrets. A server may want idempotency keys in a
// header of any name.
func Plain(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(plainHeaders, name) || strings.Contains(name, "idempotency")
}

var authSchemes = map[string]bool{"bearer": true, "digest": true, "negotiate": true}

// Scheme reports whether text is the name of a scheme of authentication, which is no secret.
func Scheme(text string) bool { return authSchemes[strings.ToLower(text)] }

// credentials reports whether a value begins with a scheme of authentication.
func credentials(value string) bool {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(value), " ")
	scheme = strings.ToLower(scheme)
	return ok && rest != "" && (scheme == "basic" || Scheme(scheme))
}
