package cache

import (
	"iter"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// unset is the value of a directive that a message does not have.
const unset = time.Duration(-1)

// forAnyTime is max-stale without a value: a response of any staleness is welcome.
const forAnyTime = time.Duration(math.MaxInt64)

// A wish is what a request says of caching (RFC 9111, section 5.2.1).
type wish struct {
	noCache, noStore, onlyIfCached bool

	maxAge, minFresh, maxStale, staleIfError time.Duration // unset if absent
}

func wishOf(h http.Header) wish {
	w := wish{maxAge: unset, minFresh: unset, maxStale: unset, staleIfError: unset}
	lines := h["Cache-Control"]
	if len(lines) == 0 {
		// Section 5.4: Pragma counts only where there is no Cache-Control.
		for _, line := range h["Pragma"] {
			for name := range directives(line) {
				w.noCache = w.noCache || name == "no-cache"
			}
		}
		return w
	}
	for _, line := range lines {
		for name, value := range directives(line) {
			switch name {
			case "no-cache":
				w.noCache = true
			case "no-store":
				w.noStore = true
			case "only-if-cached":
				w.onlyIfCached = true
			case "max-age":
				first(&w.maxAge, value, 0)
			case "min-fresh":
				first(&w.minFresh, value, 0)
			case "max-stale":
				if value == "" {
					first(&w.maxStale, value, forAnyTime)
				} else {
					first(&w.maxStale, value, 0)
				}
			case "stale-if-error":
				first(&w.staleIfError, value, 0)
			}
		}
	}
	return w
}

// picky reports whether the request may refuse a response that others in its place would take.
func (w *wish) picky() bool {
	return w.noCache || w.noStore || w.maxAge != unset || w.minFresh != unset
}

// A rule is what a response says of caching (RFC 9111, section 5.2.2, and RFC 5861).
type rule struct {
	noCache, noStore, private, public               bool
	mustRevalidate, proxyRevalidate, mustUnderstand bool

	maxAge, sharedMaxAge               time.Duration // unset if absent
	staleWhileRevalidate, staleIfError time.Duration // unset if absent

	withheld []string // fields of no-cache="…" and private="…"
}

func ruleOf(h http.Header) rule {
	r := rule{maxAge: unset, sharedMaxAge: unset, staleWhileRevalidate: unset, staleIfError: unset}
	for _, line := range h["Cache-Control"] {
		for name, value := range directives(line) {
			switch name {
			case "no-store":
				r.noStore = true
			case "no-cache":
				r.restrict(&r.noCache, value)
			case "private":
				r.restrict(&r.private, value)
			case "public":
				r.public = true
			case "must-revalidate":
				r.mustRevalidate = true
			case "proxy-revalidate":
				r.proxyRevalidate = true
			case "must-understand":
				r.mustUnderstand = true
			case "max-age":
				first(&r.maxAge, value, 0)
			case "s-maxage":
				first(&r.sharedMaxAge, value, 0)
			case "stale-while-revalidate":
				first(&r.staleWhileRevalidate, value, 0)
			case "stale-if-error":
				first(&r.staleIfError, value, 0)
			}
		}
	}
	return r
}

// restrict sets a directive that holds for the whole response, unless it names fields: then it
// holds for those only.
func (r *rule) restrict(whole *bool, fields string) {
	named := false
	for name := range strings.SplitSeq(fields, ",") {
		if name = strings.TrimSpace(name); name != "" {
			r.withheld = append(r.withheld, http.CanonicalHeaderKey(name))
			named = true
		}
	}
	if !named {
		*whole = true
	}
}

// first sets d to a number of seconds unless an earlier directive has set it: of several, the first
// counts (RFC 9111, section 4.2.1). A value that is none is taken as otherwise; for a lifetime that
// is zero, so that the response is stale.
func first(d *time.Duration, value string, otherwise time.Duration) {
	if *d != unset {
		return
	}
	if s, ok := seconds(value); ok {
		*d = s
	} else {
		*d = otherwise
	}
}

// seconds parses delta-seconds (RFC 9111, section 1.2.2): what is too large is 2^31.
func seconds(s string) (time.Duration, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > 1<<31 {
		n = 1 << 31
	}
	return time.Duration(n) * time.Second, true
}

// directives returns the directives of one line of Cache-Control or Pragma: names in lower case,
// values without quotes.
func directives(line string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for part := range elements(line) {
			name, value, _ := strings.Cut(part, "=")
			name = strings.ToLower(strings.TrimSpace(name))
			if name != "" && !yield(name, unquote(strings.TrimSpace(value))) {
				return
			}
		}
	}
}

// elements splits a list at the commas that are not within quotes.
func elements(line string) iter.Seq[string] {
	return func(yield func(string) bool) {
		quoted, begin := false, 0
		for i := 0; i < len(line); i++ {
			switch c := line[i]; {
			case c == '"':
				quoted = !quoted
			case c == '\\' && quoted:
				i++
			case c == ',' && !quoted:
				if !yield(strings.TrimSpace(line[begin:i])) {
					return
				}
				begin = i + 1
			}
		}
		yield(strings.TrimSpace(line[begin:]))
	}
}

// unquote returns the text of a quoted-string, or s itself if it is none.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
