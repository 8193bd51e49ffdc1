// Package prefer reads the preferences of an HTTP client, and removes them (RFC 7240).
package prefer

import (
	"iter"
	"net/http"
	"strings"
)

// Get returns the value of a client's preference, and whether it has that. Case does not matter in
// its name.
func Get(h http.Header, name string) (value string, ok bool) {
	for p := range all(h) {
		if n, value := parse(p); strings.EqualFold(n, name) {
			return value, true
		}
	}
	return "", false
}

// all yields the preferences of a client as they are written. None that is defined has a comma in
// its value.
func all(h http.Header) iter.Seq[string] {
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

func parse(p string) (name, value string) {
	p, _, _ = strings.Cut(p, ";")
	name, value, _ = strings.Cut(p, "=")
	return strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `"`)
}

// Remove removes the preferences of these names.
func Remove(h http.Header, names ...string) {
	var rest []string
	for p := range all(h) {
		ours := false
		name, _ := parse(p)
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
