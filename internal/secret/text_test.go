package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
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
	expect(t, bareText, [][2]string{
		{`Put "https://u:p@h/x?sig=s#f": EOF`, `Put "https://h/x": EOF`},
		{"see http://h/a?b and /x?y=z or why?", "see http://h/a and /x or why?"},
		{"a=b", "a=b"},
	})
	expect(t, Bare, [][2]string{
		{`https://u:p@h/x@y?sig=s a"b#f`, "https://h/x@y"},
		{"https://h#f?", "https://h"},
		{"https://u:p/ss@h/x", "***"},
		{"https://u:%zz@h/x", "***"},
		{"http://h/%zz?a", "http://h/%zz"},
		{"/x?y=z", "/x"},
	})
	u, _ := url.Parse("https://u:p@h.example:8443/a%2Fb/c?sig=s#f")
	if got := Address(u) + Address(nil); got != "https://h.example:8443/a%2Fb/c" {
		t.Error(got)
	}
}

// expect checks what becomes of texts: each case is one, and what is wanted.
func expect(t *testing.T, f func(string) string, cases [][2]string) {
	t.Helper()
	for _, c := range cases {
		if got := f(c[0]); got != c[1] {
			t.Errorf("%q becomes %q, want %q", c[0], got, c[1])
		}
	}
}
