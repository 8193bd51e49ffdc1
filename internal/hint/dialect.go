package hint

import (
	"slices"
	"strings"
	"time"
)

// asking are the headers that ask for a wait outright, best first: their index is their rank.
var asking = [...]struct {
	name string
	unit time.Duration // of a number
}{
	{"retry-after-ms", time.Millisecond},
	{"x-ms-retry-after-ms", time.Millisecond},
	{"retry-after", time.Second},
}

// The ranks of the other headers that can give a wait. The lowest one that does decides.
const (
	byRateLimit = len(asking) + iota
	byReset
	byXResetAfter
	byXReset
	byXDashReset
	byLabel
	byNone
)

// A dialect is one way to state a quota in headers: a draft's, a convention or a vendor's.
type dialect struct {
	// name is the header's, in lower case. One that ends in "-" begins the names of several: of one
	// for each part of a quota; if alone is set, each states a quota by itself.
	name string

	rank   int               // of a reset without a label in its header's name
	usual  map[string]string // what others call the end of a name
	policy bool              // RateLimit-Policy is about its quotas

	// alone reads the value of a header that states a quota by itself. It reports whether that can
	// be used. What the header's name has after the dialect's is rest.
	alone func(rest, value string) (Limit, bool)
	list  bool // the value is a list of such, with commas in between
}

// dialects are all that is understood besides RateLimit and RateLimit-Policy. A new one is a row.
var dialects = [...]dialect{
	{name: "ratelimit-", rank: byReset, policy: true},
	{name: "x-ratelimit-", rank: byXReset},
	{name: "x-rate-limit-", rank: byXDashReset},
	{name: "anthropic-ratelimit-", rank: byXReset},
	{name: "x-hubspot-ratelimit-", rank: byLabel, usual: map[string]string{
		"max": "limit", "daily": "daily-limit", "secondly": "secondly-limit",
	}},
	{name: "x-ms-ratelimit-remaining-", alone: azure, list: true},
	{name: "x-shopify-shop-api-call-limit", alone: shopify},
	{name: "x-amzn-ratelimit-limit", alone: amazon},
}

// cut returns what a header's name, in lower case, has after the dialect's name, and reports
// whether the header is of this dialect.
func (d *dialect) cut(name string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(name, d.name)
	return rest, ok && (rest == "" || strings.HasSuffix(d.name, "-"))
}

// initials are the letters that names of ours begin with.
var initials = func() (set [256]bool) {
	add := func(name string) {
		set[strings.ToLower(name)[0]], set[strings.ToUpper(name)[0]] = true, true
	}
	add("RateLimit")
	for i := range asking {
		add(asking[i].name)
	}
	for i := range dialects {
		add(dialects[i].name)
	}
	return set
}()

// concerns reports whether a header of this name, in any case, may be one of ours.
func concerns(name string) bool {
	if name == "" || !initials[name[0]] { // most headers are passed over by that
		return false
	}
	for i := range asking {
		if strings.EqualFold(name, asking[i].name) {
			return true
		}
	}
	for i := range dialects {
		if prefix := dialects[i].name; hasPrefixFold(name, prefix) {
			return true
		}
	}
	return strings.EqualFold(name, "RateLimit")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// parts are what the headers of a quota state, one each, by their names.
var parts = [...]string{"limit", "remaining", "reset", "reset-after", "interval-milliseconds"}

// The indices of parts.
const (
	partLimit = iota
	partRemaining
	partReset
	partResetAfter
	partInterval
)

// splitName finds the part at one end of a header's name and returns what else is in it. Without a
// part it is -1.
func splitName(name string) (part int, label string) {
	for part, word := range slices.Backward(parts[:]) { // Reset-After before Reset
		if name == word {
			return part, ""
		}
		if label, ok := strings.CutPrefix(name, word+"-"); ok {
			return part, label
		}
		if label, ok := strings.CutSuffix(name, "-"+word); ok {
			return part, label
		}
	}
	return -1, ""
}

// windows are the spans of time that a label can hold. Months and years are taken at their longest.
var windows = map[string]time.Duration{
	"second":   time.Second,
	"secondly": time.Second,
	"minute":   time.Minute,
	"hour":     time.Hour,
	"day":      24 * time.Hour,
	"daily":    24 * time.Hour,
	"month":    31 * 24 * time.Hour,
	"year":     366 * 24 * time.Hour,
}

// units are what a label can hold beside or instead of a span of time, and what is counted then.
var units = map[string]string{
	"":              "requests",
	"requests":      "requests",
	"burst":         "requests",
	"sustained":     "requests",
	"tokens":        "tokens",
	"input-tokens":  "input-tokens",
	"output-tokens": "output-tokens",
	"points":        "points",
	"units":         "units",
}

// readLabel reads what a quota counts, and over which span of time, such as in Tokens-Minute; -1 if
// over none. An unknown label may count anything.
func readLabel(label string) (unit string, window time.Duration, ok bool) {
	window = -1
	begin := strings.LastIndexByte(label, '-') + 1
	if w, ok := windows[label[begin:]]; ok {
		window, label = w, label[:max(begin-1, 0)]
	}
	unit, ok = units[label]
	return unit, window, ok
}

// azure reads X-Ms-Ratelimit-Remaining-SCOPE: a count or, for the scope "resource", a list of
// POLICY;COUNT. A reset is never stated.
func azure(scope, value string) (Limit, bool) {
	l := unknown
	l.Policy = scope
	if i := strings.LastIndexByte(value, ';'); i >= 0 {
		l.Policy, value = trim(value[:i]), value[i+1:]
	}
	var ok bool
	l.Remaining, _, ok = number(trim(value))
	return l, ok
}

// shopify reads the level of a leaky bucket, such as 32/40. How fast it leaks is not stated.
func shopify(_, value string) (Limit, bool) {
	l := unknown
	level, size, _ := strings.Cut(value, "/")
	used, _, ok := number(trim(level))
	limit, _, valid := number(trim(size))
	l.Limit, l.Remaining = limit, max(limit-used, 0)
	return l, ok && valid
}

// amazon reads a rate a second, such as 5.0 or 0.0167, as so many requests in a second, or as one
// in the time that it has.
func amazon(_, value string) (Limit, bool) {
	l := unknown
	whole, frac, ok := number(trim(value))
	l.Limit, l.Window = whole, time.Second
	if frac > 0 && whole < unixSeconds {
		const square = time.Second * time.Second
		billionths := time.Duration(whole)*time.Second + frac
		l.Limit, l.Window = 1, (square+billionths-1)/billionths
	}
	return l, ok
}
