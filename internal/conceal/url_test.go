package conceal

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	expect(t, URL, [][2]string{
		{"https://h/files/a.csv", "https://h/files/a.csv"},
		{"https://h/files/{name}", "https://h/files/{name}"},
		{"https://h/files/%7Bname%7D/é", "https://h/files/%7Bname%7D/é"},
		{"https://h/img/logo@2x.png", "https://h/img/logo@2x.png"},
		{"https://h:8443/x?token=abc", "https://h:8443/x?token=***"},
		{"https://h/x?a=1&b=2", "https://h/x?a=***&b=***"},
		{"https://h/x?a=1;b=2", "https://h/x?a=***"},
		{"https://h/x?", "https://h/x?"},
		{"https://h/x?a=1&&b=2", "https://h/x?a=***&&b=***"},
		{"https://h?mode=fast", "https://h?mode=***"},
		{"HTTPS://h/x?a=b=c", "HTTPS://h/x?a=***"},
		{"https://user:pw@h/x", "https://h/x"},
		{"https://token@h/x", "https://h/x"},
		{"https://@h/x", "https://h/x"},
		{"https://u:p%40q@h/x", "https://h/x"},
		{"lab:spacing/{path}?rate=4", "lab:spacing/{path}?rate=***"},
		{"", ""},
		// A parameter without a value may itself be the secret, padded or not.
		{"https://h/x?c2VjcmV0", "https://h/x?***"},
		{"https://h/x?c2VjcmV0==", "https://h/x?***"},
		{"https://h/x?token=", "https://h/x?***"},
		// Fragments are not sent, but may be pasted from a browser.
		{"https://h/x#access_token=abc", "https://h/x"},
		{"https://h/x?a=1#frag?b=2", "https://h/x?a=***"},
		// Passwords that are not escaped.
		{"https://u:p@ss@h/x", "https://h/x"},
		{"https://u:p/w@h/x", "***"},
		{"https://u:p?w@h/x", "***"},
		{"https://u:p#w@h/x", "***"},
		{"https://u#p@h/x", "***"},
		{"https://u?p@h/x", "***"},
		{"https://u:p\\w@h/x", "***"},
		{"https://u:p w@h/x", "***"},
		{"https://u:%zz@h/x", "***"},
		{"https://h/\x00?a=b", "https://h/\x00?a=***"},
		{"https://h/100%/x", "https://h/100%/x"},
		// Slashes forgotten, or one too many.
		{"https:/u:p@h/x", "https:/h/x"},
		{"https:u:p@h/x", "https:h/x"},
		{"https:///u:p@h/x", "https:///h/x"},
		{"//u:p@h/x", "//h/x"},
		{"u:p@h/x", "h/x"},
		{"u@h/x?k=v", "h/x?k=***"},
		{":p@h/x", "***"},
	})
}

func TestText(t *testing.T) {
	expect(t, Text, [][2]string{
		{"no URL here", "no URL here"},
		{`Put "https://h/x?token=abc": EOF`, `Put "https://h/x?token=***": EOF`},
		{`Put https://u:p@h/x: EOF`, `Put https://h/x: EOF`},
		{"see https://h/a?b=c and (http://u@h/d).", "see https://h/a?b=*** and (http://h/d)."},
		{`parse "https://u:p w@h/x": net/url: invalid`, `parse "***": net/url: invalid`},
		{`Put "https://h/x?q=a\"b c": EOF`, `Put "https://h/x?q=***": EOF`},
		{"at https://h/?k='a'b", "at https://h/?k=***"},
		{"://", "***"},
		{"a://b://c", "a://b://c"},
		{`cut off in "https://h/?k=v w`, `cut off in "https://h/?k=***`},
	})
	err := &url.Error{Op: "Put", URL: "https://h/x?sig=s3cret&n=1", Err: errors.New("timeout")}
	if got, want := Text(err.Error()), `Put "https://h/x?sig=***&n=***": timeout`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{
		"", "a", "k=v", "a:b", "@", ":", "%zz", "\\", "?", "#", "\x00", "=", "[", "{x}", "é", ";",
		" ",
		"12", "//", "://",
	} {
		f.Add(s, s)
		f.Add("x"+s, "")
		f.Add("", s+"1")
	}
	const secret = "S3cr3tPlanted"
	f.Fuzz(func(t *testing.T, pre, post string) {
		check := func(raw string) {
			t.Helper()
			got := URL(raw)
			if strings.Contains(got, secret) {
				t.Errorf("URL(%q) = %q", raw, got)
			}
			if again := URL(got); again != got {
				t.Errorf("URL(%q) = %q, and that redacted again is %q", raw, got, again)
			}
		}
		value := pre + secret + post
		// Escaped as they should be, any bytes do.
		check("https://h.example/p?k=" + url.QueryEscape(value) + "&l=1")
		check("https://h.example/p?" + url.Values{"k": {value}, "l": {"1"}}.Encode())
		for _, user := range []*url.Userinfo{
			url.UserPassword(value, "x"), url.UserPassword("x", value),
		} {
			check((&url.URL{Scheme: "https", User: user, Host: "h.example", Path: "/p"}).String())
		}
		// Raw, a "&" before the secret would make it a key.
		if !strings.Contains(pre, "&") {
			check("https://h.example/p?k=" + value)
			check("/p?k=" + value + "&l=1")
		}
		// Raw, a "/" ends the authority: what comes after is a path by any reading.
		if !strings.Contains(value, "/") {
			check("https://" + value + "@h.example/p")
			check("https://user:" + value + "@h.example/p?k=v")
			check("https:/" + value + "@h.example")
			check(value + "@h.example/p")
		}
	})
}
