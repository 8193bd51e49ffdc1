package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

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

func TestBare(t *testing.T) {
	for _, c := range [][2]string{
		{`Put "https://u:p@h/x?sig=s#f": EOF`, `Put "https://h/x": EOF`},
		{`Put "https://h/x?sig=s a\"s": EOF`, `Put "https://h/x": EOF`},
		{`Put "https://h/x a": EOF, "why?" said h`, `Put "https://h/x a": EOF, "why?" said h`},
		{"see http://h/a?b and /x?y=z or why?", "see http://h/a and /x or why?"},
		{"https://h/img/logo@2x.png at https://h:8443/a@b",
			"https://h/img/logo@2x.png at https://h:8443/a@b"},
		{"https://token@h/x@y?sig=s", "https://h/x@y"},
		{"https://u:p/w@h/x, https://u:p?w@h/x, https://u:p#w@h/x",
			"https://h/x, https://h/x, https://h/x"},
		{"https://u:p@ss@h/x, https://u:%zz@h/x", "https://h/x, https://h/x"},
		{"a=b", "a=b"},
	} {
		if got := bare(c[0]); got != c[1] {
			t.Errorf("%q becomes %q, want %q", c[0], got, c[1])
		}
	}
	u, _ := url.Parse("https://u:p@h.example:8443/a%2Fb/c?sig=s#f")
	if got := Address(u) + Address(nil); got != "https://h.example:8443/a%2Fb/c" {
		t.Error(got)
	}
}

// What was sent is hidden as it was sent and in the usual encodings; what is no secret is not.
func TestHide(t *testing.T) {
	req, err := http.NewRequest("PUT", "https://us3r:pass%2Fw0rd@h.example/up?sig=s3cr3t%3D&bare-t0ken", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer t0ken \"q\"", "X-Api-Key": "k3y/k3y k3y", "Cookie": "id=c00kie1",
		"Proxy-Authorization": "Basic dXNlck5hbWU6cGE6c3N3b3Jk", // userName:pa:ssword
		"X-Env":               "production", "Origin": "https://h.example",
		"X-Request-Id":    "8e03978e-40d5",
		"Idempotency-Key": "8e03978e", "Content-Type": "text/csv",
	} {
		req.Header.Set(name, value)
	}
	s := Of(req)
	for _, c := range [][2]string{
		{"no pass/w0rd, pass%2Fw0rd", "no ***, ***"},
		{"s3cr3t= s3cr3t%3D s3cr3t", "*** *** ***"},
		{"bare-t0ken", "***"},
		{`Bearer t0ken "q" and Bearer t0ken \"q\"`, "*** and ***"},
		{"k3y/k3y k3y, k3y%2Fk3y+k3y, k3y%2Fk3y%20k3y", "***, ***, ***"},
		{"c00kie1 of userName:pa:ssword", "*** of ***"},
		{"production at https://h.example, 8e03978e-40d5, text/csv",
			"production at https://h.example, 8e03978e-40d5, text/csv"},
	} {
		if got := s.Hide(c[0]); got != c[1] {
			t.Errorf("%q becomes %q, want %q", c[0], got, c[1])
		}
	}
	if got := s.Hide(strings.Repeat("x", MaxText+1)); len(got) != MaxText {
		t.Errorf("%d bytes", len(got))
	}
	if got := new(Set).Hide("Bearer t0ken"); got != "Bearer t0ken" {
		t.Errorf("with no secrets: %q", got)
	}
}
