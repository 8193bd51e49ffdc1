package lab

import (
	"net/url"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/test"
)

func TestName(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"http://h/a/%C3%BC%20b", "/a/ü b"},
		{"http://h/a%0Ab", "/a\nb"},
		{"http://h/a?b=%41", "/a?b=%41"},
		{"http://h/a%3Fb", "/a%3Fb"},
		{"http://h/100%25", "/100%25"},
		{"http://h/%61%25", "/a%25"},
		{"http://h/%253F", "/%253F"},
		{"http://h/a%2fb", "/a%2fb"},
		{"http://h/a/b", "/a/b"},
		{"http://h/%ff", "/%FF"},
		{"http://h/%fe", "/%FE"},
	} {
		u, err := url.Parse(tt.url)
		test.OK(t, err)
		if got := Name(u); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.url, got, tt.want)
		}
	}
}

// Different files have different names, whatever is in them.
func TestNamesDiffer(t *testing.T) {
	segment := rapid.SliceOfN(rapid.SampledFrom([]byte("a%?/2F3f\xff\xfe")), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		name := func() (file, name string) {
			file = string(segment.Draw(t, "file"))
			u, err := url.Parse("http://h/" + url.PathEscape(file))
			test.OK(t, err)
			return file, Name(u)
		}
		file1, name1 := name()
		file2, name2 := name()
		if (file1 == file2) != (name1 == name2) {
			t.Errorf("%q is %q, %q is %q", file1, name1, file2, name2)
		}
	})
}
