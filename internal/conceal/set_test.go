package conceal

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/secret/secrettest"
)

// odd are further secrets, with characters that some encoding treats in its own way.
var odd = []string{
	"sesame-0123456789", "c2VzYW1l+/MDEy==", "sésame öffne dich", "日本語の秘密", "sésame<&>'sesame'",
	"semi;colon,comma:colon", "emoji \U0001f511 key", `already \u0026 escaped \\ twice`,
	"tab\tbed value", "sesame%2Fescaped%zz",
}

// Whichever way a server writes a secret, and with one way on top of another, nothing of it is
// left.
func TestHide(t *testing.T) {
	for _, text := range slices.Concat(secrettest.Planted, odd) {
		s := New(http.Header{"X-Key": {text}})
		for _, first := range secrettest.Spellings {
			for _, second := range secrettest.Spellings {
				written := second.Write(first.Write(text))
				if got := s.Hide("no <" + written + "> today"); got != "no <***> today" {
					t.Errorf("%s, %s: %q, as %q, is %q", first.Name, second.Name, text, written,
						got)
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
		{"X-Client", "8e03978e-40d5-43e8-bc93-6894a57f9324",
			"8e03978e-40d5-43e8-bc93-6894a57f9324"},
		{"X-Client", "AKIAIOSFODNN7EXAMPLE1b2", "AKIAIOSFODNN7EXAMPLE1b2"},
		{"X-Client", "d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e"},
		{"X-Client", "env=production; id=wJalrXUtnFEMIbPxRfiCYEXAMPLE9",
			"wJalrXUtnFEMIbPxRfiCYEXAMPLE9"},
		{"X-Client", strings.Repeat("abcdefgh", 5), strings.Repeat("abcdefgh", 5)},
	} {
		s := New(http.Header{c.name: {c.value}})
		text := "it was " + c.value + " at https://production.example/" + c.secret
		got := s.Hide(text)
		switch {
		case c.secret == "" && got != text:
			t.Errorf("%s: %s: %q becomes %q", c.name, c.value, text, got)
		case c.secret != "" && (strings.Contains(got, c.secret) ||
			!strings.Contains(got, secret.Mask)):
			t.Errorf("%s: %s: %q becomes %q", c.name, c.value, text, got)
		case c.secret != "" && c.secret != "production" &&
			!strings.Contains(got, "https://production.example"):
			t.Errorf("%s: %s: the host is hidden in %q", c.name, c.value, got)
		}
	}
}

func TestHideWhatIsKnown(t *testing.T) {
	s := New(http.Header{
		"Authorization": {"Bearer t0ken.t0ken"},
		"Cookie":        {"id=c00kie1; theme=c00kie2"},
		"X-Basic":       {"Basic dXNlck5hbWU6cGE6c3N3b3Jk"}, // userName:pa:ssword
		"X-Latin-Key":   {"caf\xe9-caf\xe9-caf\xe9"},
		"Content-Type":  {"application/json"},
		"Accept":        {"text/csv"},
		"X-Short":       {"short"},
	}, "https://us%C3%A9rname:pa%2Fss%40word@h.example/files/a@b"+
		"?sig=s3cr3t%2Bs3cr3t&s0lo-value&dG9rZW4xMjM0==&n=12")
	expect(t, s.Hide, [][2]string{
		{"it was t0ken.t0ken", "it was ***"},
		{"it was Bearer t0ken.t0ken!", "it was ***!"},
		{"Bearer realm=x", "Bearer realm=x"},
		{"c00kie2, c00kie1", "***, ***"},
		{"userName has pa:ssword", "*** has ***"},
		{"user=userName:pa:ssword", "user=***"},
		{"caf\xe9-caf\xe9-caf\xe9 caf\u00e9-caf\u00e9-caf\u00e9", "*** ***"},
		{"caf?-caf?-caf? caf\ufffd-caf\ufffd-caf\ufffd", "*** ***"},
		{`"caf\udce9-caf\udce9-caf\udce9"`, `"***"`},
		{"usérname pa/ss@word us%c3%a9rname", "*** *** ***"},
		{"us\u00c3\u00a9rname", "***"}, // UTF-8 taken for ISO 8859-1
		{"Basic dXPDqXJuYW1lOnBhL3NzQHdvcmQ=", "Basic ***"},
		{"s3cr3t+s3cr3t, s3cr3t s3cr3t", "***, ***"},
		{"s0lo-value dG9rZW4xMjM0== dG9rZW4xMjM0", "*** *** ***"},
		{"https://h.example/files/a@b", "https://h.example/files/a@b"},
		{"application/json text/csv short 12", "application/json text/csv short 12"},
		// What was cut in two is known by its beginning, from secret.Shortest bytes on.
		{"it began with t0ken.t0...", "it began with ***..."},
		{"it began with t0ken.t0…", "it began with ***…"},
		{"it began with t0ken.t0", "it began with ***"},
		{"it began with t0ken.%7", "it began with ***%7"},
		{"t0ken.t0 is only alike", "t0ken.t0 is only alike"},
		{"t0ken", "t0ken"},
	})
	if got := new(Set).Hide("Bearer t0ken"); got != "Bearer t0ken" {
		t.Errorf("with no secrets: %q", got)
	}
}

// Of a long text no more is looked at than is shown, and what is cut in two there is hidden.
func TestHideLongText(t *testing.T) {
	s := New(http.Header{"X-Key": {strings.Repeat("t0ken.", 10_000)}})
	if got := s.Hide("token: " + strings.Repeat("t0ken.", 20_000)); got != "token: ***" {
		t.Errorf("%.100q", got)
	}
	s = New(http.Header{"X-Key": {"sesame-sesame"}})
	text := strings.Repeat("x", secret.MaxText-8) + "sesame-sesame"
	if got, want := s.Hide(text), strings.Repeat("x", secret.MaxText-8)+secret.Mask; got != want {
		t.Errorf("it ends in %q", got[len(got)-20:])
	}
}

// FuzzHide plants a secret, written in two ways one upon the other, in some text.
func FuzzHide(f *testing.F) {
	for i, text := range slices.Concat(secrettest.Planted, odd) {
		f.Add(text, `HTTP/1.1 400 "`, `"\u0020&`, uint8(i), uint8(i/2))
	}
	f.Fuzz(func(t *testing.T, text, before, after string, first, second uint8) {
		if strings.Contains(text, "*") || len(before)+len(after) > 1000 || len(text) > 200 {
			t.Skip() // what is hidden may look like it
		}
		s := New(http.Header{"X-Key": {text}})
		all := secrettest.Spellings
		written := all[int(second)%len(all)].Write(all[int(first)%len(all)].Write(text))
		// What stands directly before may seem to begin an escape.
		shown := s.Hide(before + " " + written + " " + after)
		if len(strings.Trim(fold(text), " ")) < secret.Shortest || len(s.forms) == 0 {
			return
		}
		for _, form := range s.forms {
			for _, v := range decodings(shown) {
				if strings.Contains(fold(v.text), form) {
					t.Errorf("%q is in %q", form, shown)
				}
			}
		}
		if !strings.Contains(shown, secret.Mask) {
			t.Errorf("%q, as %q, is in %q", text, written, shown)
		}
	})
}

func BenchmarkHide(b *testing.B) {
	h := http.Header{
		"Authorization": {"Bearer " + strings.Repeat("t0ken", 20)},
		"User-Agent":    {"penstock/1.0"}, "Content-Type": {"text/csv"},
	}
	text := "dial tcp 192.0.2.1:443: connect: connection refused"
	b.ReportAllocs()
	for b.Loop() {
		New(h, "https://h.example/files/a?sig=s3cr3ts3cr3t").Hide(text)
	}
}
