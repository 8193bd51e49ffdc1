package item

import (
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern   string
		path, url string
		want      bool
	}{
		{"data/a", "data/a", "", true},
		{"./data/a", "data/a", "", true},
		{"data/a", "data/a/b", "", false},
		{"data/", "data/a/b", "", true},
		{"data/", "data", "", true},
		{"data/*.json", "data/a.json", "", true},
		{"data/*.json", "data/x/a.json", "", false},
		{"data/**/*.json", "data/x/y/a.json", "", true},
		{"da*/", "data/x/y", "", true},
		{"data/[1].json", "data/[1].json", "", true},
		{"data/[1].json", "data/1.json", "", true},
		{"data/[", "data/[", "", true},
		{"http://h/a*", "", "http://h/a/b", false},
		{"http://h/a*", "http://h/a1", "http://h/b", false},
		{"http://h/", "", "http://h/a/b", true},
	} {
		p := ReadPatterns([]string{c.pattern})
		got := p.Match(filepath.FromSlash(c.path), c.url)
		if got != c.want || (len(p.Unmatched()) == 0) != got {
			t.Errorf("%q: %v for %q %q, unmatched %q", c.pattern, got, c.path, c.url, p.Unmatched())
		}
	}
	if !ReadPatterns(nil).Match("a", "") {
		t.Error("no pattern stands for nothing")
	}
	p := ReadPatterns([]string{"a", "b", "http://h/c"})
	p.Match("b", "")
	if got := p.Unmatched(); !slices.Equal(got, []string{"a", "http://h/c"}) {
		t.Errorf("unmatched %q", got)
	}
}

func TestPatternsMatchNames(t *testing.T) {
	dirs := []string{"", "https://", "data/", "data/[1]/", "{a,b}/"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(dirs).Draw(t, "dir") + rapid.String().Draw(t, "name")
		clean := filepath.ToSlash(filepath.Clean("d/" + name)) // as paths are in a journal
		p := ReadPatterns([]string{clean})
		if !p.Match(clean, clean) || p.Unmatched() != nil {
			t.Fatalf("%q does not match itself", clean)
		}
		if !ReadPatterns([]string{clean + "/"}).Match(clean+"/x", clean+"/x") {
			t.Fatalf("%q does not match what is below it", clean+"/")
		}
	})
}
