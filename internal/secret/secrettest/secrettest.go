// Package secrettest has secrets to plant in a test, the spellings in which a server may send them
// back, and the places of an answer where it may do so.
package secrettest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A Spelling is a way in which a server may write what it sends back.
type Spelling struct {
	Name  string
	Write func(string) string
}

// Spellings are those that are undone. The first five differ most.
var Spellings = []Spelling{
	{"as it is", func(s string) string { return s }},
	{"JSON", quoted(toJSON)},
	{"Go in ASCII", quoted(strconv.QuoteToASCII)},
	{"every byte", func(s string) string { return strings.ToLower(everyByte(s)) }},
	{"query", url.QueryEscape},

	{"path", url.PathEscape},
	{"upper case", everyByte},
	{"JSON in ASCII", jsonInASCII},
	{"slashes", func(s string) string { return strings.ReplaceAll(quoted(toJSON)(s), "/", `\/`) }},
	{"Go", quoted(strconv.Quote)},
	{"HTML", html.EscapeString},
	{"HTML by number", func(s string) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, "&#x%X;", r)
		}
		return b.String()
	}},
}

// quoted writes a string without the quotes around it.
func quoted(quote func(string) string) func(string) string {
	return func(s string) string { s = quote(s); return s[1 : len(s)-1] }
}

func toJSON(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func everyByte(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// jsonInASCII is Python's: a byte that is not UTF-8 is half a surrogate pair.
func jsonInASCII(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\udc%02x`, s[i])
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case ' ' <= r && r <= '~':
			b.WriteRune(r)
		default:
			for _, half := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, half)
			}
		}
		i += n
	}
	return b.String()
}

// Planted are secrets of all kinds, each with "sesame" in it.
var Planted = []string{
	"sesame",
	"sesame-token.eyJ+/==",
	`open "sesame" \o/`,
	"a%2Fb%2fc%3D+sesame",
	"100%sesame%zz",
	"sésame öffne dich, sesame",
	"<sesame>&'amp;'",
	"日本sesame語",
}

// Basic returns credentials as the header of Basic authentication has them.
func Basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// Find returns the part of a text around a secret with "sesame" in it, or around one of others; ""
// if there is none.
func Find(text string, others ...string) string {
	lower := strings.ToLower(text)
	for _, secret := range append(others, "sesame", "%73%65%73%61%6d%65") {
		if i := strings.Index(lower, strings.ToLower(secret)); i >= 0 {
			return text[max(0, i-200):min(len(text), i+100)]
		}
	}
	return ""
}

// An Answer is what a server may send; each "$" stands for what it was sent.
type Answer struct{ Name, Text string }

const whole = "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// Answers have a secret wherever one can stand. None of them delivers anything.
var Answers = []Answer{
	{"no HTTP", "what is $?\r\n\r\n"},
	{"reason", "HTTP/1.1 400 $" + whole},
	{"reason of a refusal", "HTTP/1.1 503 $\r\nRetry-After: $" + whole},
	{"status", "HTTP/1.1 $ 400" + whole},
	{"version", "HTTP/$ 400 No" + whole},
	{"header without colon", "HTTP/1.1 400 No\r\n$" + whole},
	{"header", "HTTP/1.1 400 No\r\nX-You-Sent: $" + whole},
	{"continuation", "HTTP/1.1 400 No\r\n $" + whole},
	{"length", "HTTP/1.1 400 No\r\nContent-Length: $\r\n\r\n"},
	{"encoding", "HTTP/1.1 400 No\r\nTransfer-Encoding: $\r\n\r\n"},
	{"location in path", "HTTP/1.1 302 No\r\nLocation: /x/$" + whole},
	{"location elsewhere", "HTTP/1.1 307 No\r\nLocation: http://$@x.example/$?a=$#$" + whole},
	{"bad location", "HTTP/1.1 307 No\r\nLocation: %zz$" + whole},
	{"worse location", "HTTP/1.1 307 No\r\nLocation: ://$" + whole},
	{"hints", "HTTP/1.1 429 No\r\nRetry-After: $\r\nRateLimit: $;r=0" + whole},
	{"interim", "HTTP/1.1 103 $\r\nLink: $\r\n\r\nHTTP/1.1 $" + whole},
	{"cut off", "HTTP/1.1 400 $"},
	{"body", "HTTP/1.1 400 No\r\nConnection: close\r\n\r\n{\"error\": $}"},
	{"body of a 500", "HTTP/1.1 500 No\r\nConnection: close\r\n\r\nno: $"},
	{"body in chunks", "HTTP/1.1 422 No\r\nConnection: close\r\n" +
		"Transfer-Encoding: chunked\r\n\r\nffff\r\n$\r\n0\r\n\r\n"},
}

// Echo returns the answer to a request with such a line or URL and such headers, in that spelling.
func (a Answer) Echo(write func(string) string, line string, h map[string][]string) string {
	all := []string{write(line)}
	for _, values := range h {
		for _, v := range values {
			all = append(all, write(v))
		}
	}
	return strings.ReplaceAll(a.Text, "$", strings.Join(all, " "))
}
