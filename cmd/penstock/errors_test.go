package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSuggest(t *testing.T) {
	for _, tt := range []struct {
		name  string
		known []string
		want  []string
	}{
		{"", nil, []string{}},
		{"rsp", []string{"rps", "burst", "rpsx"}, []string{"rps", "rpsx"}},
		{"SNED", []string{"send", "journal"}, []string{"send"}},
		{"journ", []string{"send", "journal"}, []string{"journal"}},
		{"kitten", []string{"sitting", "mitten", "bitter"}, []string{"mitten", "bitter"}},
		{"x", []string{"n", "xy"}, []string{"xy"}}, // one letter is no misspelling of another
		{"abc", []string{"", "ab", "b", "abcde"}, []string{"ab", "b", "abcde"}},
	} {
		if diff := cmp.Diff(tt.want, suggest(tt.name, tt.known)); diff != "" {
			t.Errorf("%q of %q: %s", tt.name, tt.known, diff)
		}
	}
}
