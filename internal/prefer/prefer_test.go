package prefer

import (
	"net/http"
	"slices"
	"testing"
)

func TestPrefer(t *testing.T) {
	for _, c := range []struct {
		lines []string
		value string // of wait
		has   bool
		rest  []string // without wait
	}{
		{nil, "", false, nil},
		{[]string{"wait=10"}, "10", true, nil},
		{[]string{` Wait = "10" ;x=1, return=minimal`}, "10", true, []string{"return=minimal"}},
		{[]string{"a, ,b=1;c", "wait, wait=2"}, "", true, []string{"a, b=1;c"}},
		{[]string{"waiting=1"}, "", false, []string{"waiting=1"}},
	} {
		h := http.Header{}
		if c.lines != nil {
			h["Prefer"] = c.lines
		}
		if value, ok := Get(h, "wait"); value != c.value || ok != c.has {
			t.Errorf("%q: %q, %v", c.lines, value, ok)
		}
		if Remove(h, "wait"); !slices.Equal(h["Prefer"], c.rest) {
			t.Errorf("%q: %q is left", c.lines, h["Prefer"])
		}
	}
}
