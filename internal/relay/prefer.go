package relay

import (
	"iter"
	"net/http"
	"strings"
)

// preference returns the value of a client's preference (RFC 7240), and whether it has that.
func preference(h http.Header, name string) (value string, ok bool) {
	for p := range preferences(h) {
		if n, value := parsePreference(p); strings.EqualFold(n, name) {
			return value, true
		}
	}
	return "", false
}

// preferences yields those of a client as they are written. None that is defined has a comma in its
// value.
func preferences(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range h["Prefer"] {
			for p := range strings.SplitSeq(line, ",") {
				if p = strings.TrimSpace(p); p != "" && !yield(p) {
					return
				}
			}
		}
	}
}

func parsePreference(p string) (name, value string) {
	p, _, _ = strings.Cut(p, ";")
	name, value, _ = strings.Cut(p, "=")
	return strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `"`)
}

// withoutPreferences removes preferences that were meant for the relay.
func withoutPreferences(h http.Header, names ...string) {
	var rest []string
	for p := range preferences(h) {
		ours := false
		name, _ := parsePreference(p)
		for _, n := range names {
			ours = ours || strings.EqualFold(name, n)
		}
		if !ours {
			rest = append(rest, p)
		}
	}
	h.Del("Prefer")
	if rest != nil {
		h.Set("Prefer", strings.Join(rest, ", "))
	}
}
