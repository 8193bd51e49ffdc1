package report

import (
	"net/url"
	"strings"
)

const redacted = "***"

// Redact returns rawURL without what may be secret: userinfo, the values of
// the query, and the fragment. Keys of the query are kept, so that a reader
// still sees which parameters were sent. All else stays as it was written:
// the URL may be a template, whose braces a parser would escape.
//
// A URL that net/url cannot parse, or whose password may have been torn apart
// by a "?" or "#", is replaced as a whole, for nobody can say which part of it
// is the password. The path is kept as RFC 3986 reads it: "https://a/b@c" names
// the host a. Redact(Redact(u)) equals Redact(u).
func Redact(rawURL string) string {
	// A parse error, not our own splitting, must catch "https://u:p/w@host/",
	// where the password's slash ends the authority early.
	u, err := url.Parse(rawURL)
	if err != nil {
		return redacted
	}
	rest, _, _ := strings.Cut(rawURL, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")

	var b strings.Builder
	if n := len(u.Scheme); n > 0 {
		b.WriteString(rest[:n+1])
		rest = rest[n+1:]
	}
	// Userinfo is looked for behind any number of slashes, also none: in
	// "https:/u:p@host" and "u:p@host" the parser sees no authority at all.
	host := strings.TrimLeft(rest, "/")
	b.WriteString(rest[:len(rest)-len(host)])
	end := strings.IndexByte(host, '/')
	if end < 0 {
		end = len(host)
		// "https://u#p@host": no path, and an "@" in what was cut off.
		if tail := rawURL[b.Len()+len(host):]; strings.Contains(tail, "@") {
			return redacted
		}
	}
	if at := strings.LastIndexByte(host[:end], '@'); at >= 0 {
		if u.Host == "" && b.Len() > 0 && u.Scheme != "http" && u.Scheme != "https" {
			// What the parser took for a scheme may be the user's name.
			b.Reset()
		}
		host = host[at+1:]
	}
	b.WriteString(host)
	if hasQuery {
		b.WriteByte('?')
		redactQuery(&b, query)
	}
	return b.String()
}

func redactQuery(b *strings.Builder, query string) {
	// Only "&" separates: a server may take what follows a ";" as part of the value.
	for i, pair := range strings.Split(query, "&") {
		if i > 0 {
			b.WriteByte('&')
		}
		// Without a value, the key may itself be the token, also when it
		// ends in "=": that is how base64 is padded.
		if key, value, _ := strings.Cut(pair, "="); strings.Trim(value, "=") != "" {
			b.WriteString(key)
			b.WriteByte('=')
		} else if pair == "" {
			continue
		}
		b.WriteString(redacted)
	}
}

// RedactText applies Redact to every absolute URL inside an error text, such
// as those that net/http puts there.
func RedactText(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		start := i
		for start > 0 && isSchemeByte(s[start-1]) {
			start--
		}
		// Go's errors quote the URL, and one that did not parse may hold a
		// space; a bare one ends at white space and nowhere else, since any
		// other byte may be part of a careless secret.
		end := len(s)
		if start > 0 && s[start-1] == '"' {
			if n := closingQuote(s[i:]); n >= 0 {
				end = i + n
			}
		} else if n := strings.IndexAny(s[i:], " \t\r\n"); n >= 0 {
			end = i + n
		}
		b.WriteString(s[:start])
		u := s[start:end]
		// In "Put https://h/x: EOF" the colon belongs to the sentence.
		trimmed := strings.TrimRight(u, ":,;.)")
		b.WriteString(Redact(trimmed))
		b.WriteString(u[len(trimmed):])
		s = s[end:]
	}
}

// closingQuote returns the index of the first unescaped quote, or -1.
func closingQuote(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

func isSchemeByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'
}
