package secret

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A template goes through as it is written: the journal's name is made of one.
func TestWithoutCredentialsOfTemplate(t *testing.T) {
	for template, want := range map[string]string{
		"https://h/{path}?set={set}&access_token=x":  "https://h/{path}?set={set}",
		"https://h/{path}?access_token=x":            "https://h/{path}",
		"https://h/?a=1&&token=x&b=%26token=":        "https://h/?a=1&&b=%26token=",
		"https://h/?token=1&token=2&a?token=3":       "https://h/?a?token=3",
		"https://h/token=1":                          "https://h/token=1",
		"https://h/?{name}={token}&apikey={apikey}#": "https://h/?{name}={token}",
	} {
		if got, any := WithoutCredentials(template); got != want || any != (got != template) {
			t.Errorf("%s: %s, %v, want %s", template, got, any, want)
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
			return slices.ContainsFunc(pairs,
				func(p string) bool {
					return strings.HasPrefix(strings.ToLower(p),
						strings.ToLower(name)+"=")
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
		if got, any := WithoutCredentials(in); got != want || any != (len(left) < len(pairs)) {
			t.Fatalf("%s: %s, %v, want %s", in, got, any, want)
		}
	})
}

// The name of a journal has a hash of it, by which guesses could be tested.
func TestTarget(t *testing.T) {
	for to, want := range map[string]string{
		"https://u:sesame@h/{path}?k=sesame&n={name}&sesame":   "https://u@h/{path}?k&n={name}",
		"https://h/{path}?token=sesame":                        "https://h/{path}",
		"https://h/{path}?a=sesame&sig=sesame":                 "https://h/{path}?a&sig",
		"https://sesame@h/{path}":                              "https://h/{path}",
		"https://h/{path}?X-Amz-Signature=sesame&partNumber=1": "https://h/{path}?partNumber",
		"/data/a?b=c@d.ndjson":                                 "/data/a?b=c@d.ndjson",
	} {
		if got := Target(to); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}
