package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// spelling is a way in which a server may write what it sends back.
type spelling struct {
	name  string
	write func(string) string
}

// quoted writes a string without the quotes around it.
func quoted(quote func(string) string) func(string) string {
	return func(s string) string { s = quote(s); return s[1 : len(s)-1] }
}

func toJSON(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// everyByte percent-encodes all bytes.
func everyByte(hex string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, "%%"+hex, s[i])
		}
		return b.String()
	}
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

var spellings = []spelling{
	{"as it is", func(s string) string { return s }},
	{"query", url.QueryEscape},
	{"path", url.PathEscape},
	{"lower case", func(s string) string { return strings.ToLower(everyByte("%02X")(s)) }},
	{"every byte", everyByte("%02X")},
	{"JSON", quoted(toJSON)},
	{"JSON in ASCII", jsonInASCII},
	{"slashes", func(s string) string { return strings.ReplaceAll(quoted(toJSON)(s), "/", `\/`) }},
	{"Go", quoted(strconv.Quote)},
	{"Go in ASCII", quoted(strconv.QuoteToASCII)},
	{"HTML", html.EscapeString},
	{"HTML by number", func(s string) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, "&#x%X;", r)
		}
		return b.String()
	}},
}

var planted = []string{
	"sesame",
	"sesame-0123456789",
	`open "sesame" \o/`,
	"c2VzYW1l+/MDEy==",
	"a%2Fb%2fc%3D+sesame",
	"100%sesame%zz",
	"sésame öffne dich",
	"日本語の秘密",
	"<sesame>&'amp;'",
	"semi;colon,comma:colon",
	"emoji \U0001f511 key",
	`already \u0026 escaped \\ twice`,
	"tab\tbed value",
}

// Whichever way a server writes a secret, and with one way on top of another, nothing of it is left.
func TestHide(t *testing.T) {
	for _, text := range planted {
		var s Set
		s.AddHeader(http.Header{"X-Key": {text}})
		for _, first := range spellings {
			for _, second := range spellings {
				written := second.write(first.write(text))
				if got := s.Hide("no <" + written + "> today"); got != "no <***> today" {
					t.Errorf("%s, %s: %q\nas %q\nis %q", first.name, second.name, text, written, got)
				}
			}
		}
	}
}

// Plain words are no secrets, unless the name of their header says so; what a machine made is one.
func TestHeadersThatAreNoSecrets(t *testing.T) {
	for _, c := range []struct {
		name, value string
		secret      string // that is hidden; empty: nothing is
	}{
		{"X-Env", "production", ""},
		{"X-Env", "example", ""},
		{"Origin", "https://files.example.com", ""},
		{"Referer", "https://files.example.com/v1/MyCompanyUploadPage/2026-01-02", ""},
		{"X-Requested-With", "XMLHttpRequest", ""},
		{"X-Client-Version", "UploadClient/2.10.3-beta4+build77 (linux; amd64)", ""},
		{"X-Department", "internationalization-and-documentation", ""},
		{"X-Date", "Sat, 28 Nov 2026 12:09:04 GMT", ""},
		{"X-When", "2026-11-28T12:09:04.123456Z", ""},
		{"X-Batch", "incoming_files_2026_11_28", ""},
		{"X-Customer", "1234567890123456", ""},
		{"Prefer", "respond-async", ""},
		{"User-Agent", "penstock/v1.26.8 (linux; amd64; a1B2c3D4e5F6g7H8)", ""},
		{"Content-Digest", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", ""},
		{"Idempotency-Key", "8e03978e-40d5-43e8-bc93-6894a57f9324", ""},

		{"X-Api-Key", "production", "production"},
		{"Authorization", "production", "production"},
		{"Proxy-Authorization", "production", "production"},
		{"Cookie", "theme=production", "production"},
		{"X-Auth-User", "production", "production"},
		{"X-Amz-Security-Token", "production", "production"},
		{"X-Vault-Token", "production", "production"},
		{"Ocp-Apim-Subscription-Key", "production", "production"},
		{"X-Password", "production", "production"},
		{"X-Signature", "production", "production"},
		{"X-Session-Id", "production", "production"},
		{"X-Sid", "production", "production"},

		{"X-Client", "Basic cHJvZHVjdGlvbjpwcm9kdWN0aW9u", "production"},
		{"X-Client", "bearer production", "production"},
		{"X-Client", "8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"},
		{"X-Client", "AKIAIOSFODNN7EXAMPLE1b2", "AKIAIOSFODNN7EXAMPLE1b2"},
		{"X-Client", "d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e"},
		{"X-Client", "env=production; id=wJalrXUtnFEMIbPxRfiCYEXAMPLE9", "wJalrXUtnFEMIbPxRfiCYEXAMPLE9"},
		{"X-Client", strings.Repeat("abcdefgh", 5), strings.Repeat("abcdefgh", 5)},
	} {
		var s Set
		s.AddHeader(http.Header{c.name: {c.value}})
		text := "it was " + c.value + " at https://production.example/" + c.secret
		got := s.Hide(text)
		switch {
		case c.secret == "" && got != text:
			t.Errorf("%s: %s: %q becomes %q", c.name, c.value, text, got)
		case c.secret != "" && (strings.Contains(got, c.secret) || !strings.Contains(got, Mask)):
			t.Errorf("%s: %s: %q becomes %q", c.name, c.value, text, got)
		case c.secret != "" && c.secret != "production" && !strings.Contains(got, "https://production.example"):
			t.Errorf("%s: %s: the host is hidden in %q", c.name, c.value, got)
		}
	}
}

func TestHideWhatIsKnown(t *testing.T) {
	var s Set
	s.AddHeader(http.Header{
		"Authorization": {"Bearer t0ken.t0ken"},
		"Cookie":        {"id=c00kie1; theme=c00kie2"},
		"X-Basic":       {"Basic dXNlck5hbWU6cGE6c3N3b3Jk"}, // userName:pa:ssword
		"X-Latin-Key":   {"caf\xe9-caf\xe9-caf\xe9"},
		"Content-Type":  {"application/json"},
		"Accept":        {"text/csv"},
		"X-Short":       {"short"},
	})
	s.AddURL("https://us%C3%A9rname:pa%2Fss%40word@h.example/files/a@b?sig=s3cr3t%2Bs3cr3t&s0lo-value&dG9rZW4xMjM0==&n=12")
	for _, c := range []struct{ text, want string }{
		{"it was t0ken.t0ken", "it was ***"},
		{"it was Bearer t0ken.t0ken!", "it was ***!"},
		{"Bearer realm=x", "Bearer realm=x"},
		{"c00kie2, c00kie1", "***, ***"},
		{"userName has pa:ssword", "*** has ***"},
		{"user=userName:pa:ssword", "user=***"},
		{"caf\xe9-caf\xe9-caf\xe9 caf\u00e9-caf\u00e9-caf\u00e9 caf?-caf?-caf? caf\ufffd-caf\ufffd-caf\ufffd", "*** *** *** ***"},
		{`"caf\udce9-caf\udce9-caf\udce9"`, `"***"`},
		{"usérname pa/ss@word us%c3%a9rname", "*** *** ***"},
		{"us\u00c3\u00a9rname", "***"}, // UTF-8 taken for ISO 8859-1
		{"Basic dXPDqXJuYW1lOnBhL3NzQHdvcmQ=", "Basic ***"},
		{"s3cr3t+s3cr3t, s3cr3t s3cr3t", "***, ***"},
		{"s0lo-value dG9rZW4xMjM0== dG9rZW4xMjM0", "*** *** ***"},
		{"https://h.example/files/a@b", "https://h.example/files/a@b"},
		{"application/json text/csv short 12", "application/json text/csv short 12"},
		// What was cut in two is known by its beginning, from Shortest bytes on.
		{"it began with t0ken.t0...", "it began with ***..."},
		{"it began with t0ken.t0…", "it began with ***…"},
		{"it began with t0ken.t0", "it began with ***"},
		{"it began with t0ken.%7", "it began with ***%7"},
		{"t0ken.t0 is only alike", "t0ken.t0 is only alike"},
		{"t0ken", "t0ken"},
	} {
		if got := s.Hide(c.text); got != c.want {
			t.Errorf("%q\nbecomes %q\nwant    %q", c.text, got, c.want)
		}
	}
	if got := new(Set).Hide("Bearer t0ken"); got != "Bearer t0ken" {
		t.Errorf("with no secrets: %q", got)
	}
}

// Of a long text no more is looked at than is shown, and what is cut in two there is hidden.
func TestHideLongText(t *testing.T) {
	var s Set
	s.Add(strings.Repeat("t0ken.", 10_000))
	if got := s.Hide("token: " + strings.Repeat("t0ken.", 20_000)); got != "token: ***" {
		t.Errorf("%.100q", got)
	}
	s = Set{}
	s.Add("sesame-sesame")
	text := strings.Repeat("x", maxText-8) + "sesame-sesame"
	if got, want := s.Hide(text), strings.Repeat("x", maxText-8)+Mask; got != want {
		t.Errorf("it ends in %q", got[len(got)-20:])
	}
}

func TestError(t *testing.T) {
	inner := &fs.PathError{Op: "open", Path: "sesame", Err: fs.ErrNotExist}
	err := error(&Error{"it is not there", fmt.Errorf("sesame: %w", inner)})
	var as *fs.PathError
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &as) || as != inner {
		t.Error("what it stands for is not found")
	}
	if err.Error() != "it is not there" || errors.Unwrap(err) != nil {
		t.Errorf("%v wraps %v", err, errors.Unwrap(err))
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`Put "https://u:p@h/x?sig=s#f": EOF`, `Put "https://h/x": EOF`},
		{"see http://h/a?b and /x?y=z or why?", "see http://h/a and /x or why?"},
		{"a=b", "a=b"},
	} {
		if got := CleanText(c.text); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.text, got, c.want)
		}
	}
	for _, c := range []struct{ address, want string }{
		{`https://u:p@h/x@y?sig=s a"b#f`, "https://h/x@y"},
		{"https://h#f?", "https://h"},
		{"https://u:p/ss@h/x", "https://***"},
		{"https://u:%zz@h/x", "https://***"},
		{"http://h/%zz?a", "http://h/%zz"},
		{"/x?y=z", "/x"},
	} {
		if got := CleanAddress(c.address); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.address, got, c.want)
		}
	}
	u, _ := url.Parse("https://u:p@h.example:8443/a%2Fb/c?sig=s#f")
	if got := CleanURL(u) + CleanURL(nil); got != "https://h.example:8443/a%2Fb/c" {
		t.Error(got)
	}
}

// FuzzHide plants a secret, written in two ways one upon the other, in some text.
func FuzzHide(f *testing.F) {
	for i, text := range planted {
		f.Add(text, `HTTP/1.1 400 "`, `"\u0020&`, uint8(i), uint8(i/2))
	}
	f.Fuzz(func(t *testing.T, text, before, after string, first, second uint8) {
		if strings.Contains(text, "*") || len(before)+len(after) > 1000 || len(text) > 200 {
			t.Skip() // what is hidden may look like it
		}
		var s Set
		s.Add(text)
		a, b := spellings[int(first)%len(spellings)], spellings[int(second)%len(spellings)]
		written := b.write(a.write(text))
		shown := s.Hide(before + " " + written + " " + after) // what stands directly before may seem to begin an escape
		if len(strings.Trim(fold(text), " ")) < Shortest || len(s.forms) == 0 {
			return
		}
		for _, form := range s.forms {
			for _, v := range views(shown) {
				if strings.Contains(fold(v.text), form) {
					t.Errorf("%q is in %q", form, shown)
				}
			}
		}
		if !strings.Contains(shown, Mask) {
			t.Errorf("%q, as %q, is in %q", text, written, shown)
		}
	})
}

func BenchmarkHide(b *testing.B) {
	h := http.Header{"Authorization": {"Bearer " + strings.Repeat("t0ken", 20)}, "User-Agent": {"penstock/1.0"}, "Content-Type": {"text/csv"}}
	text := "dial tcp 192.0.2.1:443: connect: connection refused"
	b.ReportAllocs()
	for b.Loop() {
		var s Set
		s.AddHeader(h)
		s.AddURL("https://h.example/files/a?sig=s3cr3ts3cr3t")
		s.Hide(text)
	}
}
