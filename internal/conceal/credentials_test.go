package conceal

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A template goes through as it is written. The name of a journal is made of one, and is shown with
// a hash in it by which guesses could be tested.
func TestTarget(t *testing.T) {
	for _, c := range []struct{ to, without, want string }{
		{"https://h/{path}?set={set}&access_token=x", "https://h/{path}?set={set}", ""},
		{"https://h/{path}?access_token=x", "https://h/{path}", ""},
		{"https://h/?a=1&&token=x&b=%26token=", "https://h/?a=1&&b=%26token=", "https://h/?a&b"},
		{"https://h/?token=1&token=2&a?token=3", "https://h/?a?token=3", "https://h/?a?token"},
		{"https://h/token=1", "", ""},
		{"https://h/?{name}={token}&apikey={apikey}#", "https://h/?{name}={token}", ""},
		{"https://h/?k=sesame&n={name}&sesame", "", "https://h/?k&n={name}"},
		{"https://h/?a=sesame&sig=sesame", "", "https://h/?a&sig"},
		{"https://h/?X-Amz-Signature=s&part=1", "https://h/?part=1", "https://h/?part"},
		{"https://ann:old@h/{name}?v=1", "https://ann@h/{name}?v=1", "https://ann@h/{name}?v"},
		{"https://ann:p%40@h/{name}", "https://ann@h/{name}", ""},
		{"https://ann:a:b@h/{name}", "https://ann@h/{name}", ""},
		{"https://token@h/{name}", "https://h/{name}", ""},
		{"https://token:@h/{name}", "https://h/{name}", ""},
		{"https://token:x-oauth-basic@h/{name}", "https://h/{name}", ""},
		{"https://h/ann:old@{name}", "", ""}, // a path
		{"/data/a?b=c@d.ndjson", "", ""},
	} {
		without := cmp.Or(c.without, c.to)
		if got, _ := WithoutCredentials(c.to); got != without {
			t.Errorf("%s: %s, want %s", c.to, got, without)
		}
		if got := Target(c.to); got != cmp.Or(c.want, without) {
			t.Errorf("the journal of %s: %s, want %s", c.to, got, cmp.Or(c.want, without))
		}
	}
}

// allSchemes are all ways to put a credential into a query.
func allSchemes() []scheme {
	all := slices.Clone(schemes)
	for _, name := range tokens {
		all = append(all, scheme{by: []string{name}})
	}
	return all
}

// What is left of a query is what a slow reading of the rule leaves.
func TestWithoutCredentialsModel(t *testing.T) {
	var names []string
	for _, s := range allSchemes() {
		names = append(append(names, s.by...), s.with...)
	}
	names = append(names, "v", "", "to%6ben", "set", "key")
	rapid.Check(t, func(t *rapid.T) {
		pair := rapid.Custom(func(t *rapid.T) string {
			name := rapid.SampledFrom(names).Draw(t, "name")
			if rapid.Bool().Draw(t, "lower") {
				name = strings.ToLower(name)
			}
			return name + rapid.SampledFrom([]string{"", "=", "=1", "=a=b"}).Draw(t, "value")
		})
		pairs := rapid.SliceOfN(pair, 0, 12).Draw(t, "pairs")
		has := func(name string) bool {
			name = strings.ToLower(name) + "="
			return slices.ContainsFunc(pairs, func(p string) bool {
				return strings.HasPrefix(strings.ToLower(p), name)
			})
		}
		drop := make(map[string]bool)
		for _, s := range allSchemes() {
			all := true
			for _, name := range s.by {
				all = all && has(name)
			}
			for _, name := range append(slices.Clone(s.by), s.with...) {
				drop[strings.ToLower(name)] = drop[strings.ToLower(name)] || all
			}
		}
		var left []string
		for _, p := range pairs {
			if name, _, _ := strings.Cut(p, "="); !drop[strings.ToLower(name)] {
				left = append(left, p)
			}
		}
		want := "http://h/"
		if len(left) > 0 {
			want += "?" + strings.Join(left, "&")
		}
		in := "http://h/?" + strings.Join(pairs, "&")
		if len(left) == len(pairs) {
			want = in
		}
		got, name := WithoutCredentials(in)
		if got != want || (name != "") != (len(left) < len(pairs)) || name != "" && !has(name) {
			t.Fatalf("%s: %s, %q, want %s", in, got, name, want)
		}
	})
}
