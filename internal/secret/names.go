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
	return secretName.MatchString(name) && !plain(name)
}

// Held reports whether a header's value is a secret as a whole: by the header's name, or since it
// begins like credentials.
func Held(name, value string) bool {
	return !plain(name) && (secretName.MatchString(name) || credentials(value))
}

// plain reports whether a header is none that holds secrets. A server may want idempotency keys in
// a header of any name.
func plain(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(plainHeaders, name) || strings.Contains(name, "idempotency")
}

// schemes of authentication are no secret.
var schemes = map[string]bool{"bearer": true, "digest": true, "negotiate": true}

// credentials reports whether a value begins with a scheme of authentication.
func credentials(value string) bool {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(value), " ")
	scheme = strings.ToLower(scheme)
	return ok && rest != "" && (scheme == "basic" || schemes[scheme])
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
