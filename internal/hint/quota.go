package hint

import (
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// Bounds on what is looked at. A structured field beyond them counts as malformed. Real ones hold one to five quotas.
const (
	maxField  = 8 << 10
	maxLimits = 64
)

const (
	azurePrefix   = "x-ms-ratelimit-remaining-"
	amazonLimit   = "x-amzn-ratelimit-limit"
	shopifyLimit  = "x-shopify-shop-api-call-limit"
	hubSpotPrefix = "x-hubspot-ratelimit"
)

// splitPrefixes begin the names of headers that tell one part of a quota each.
var splitPrefixes = [...]string{"ratelimit", "x-ratelimit", "x-rate-limit", "anthropic-ratelimit", hubSpotPrefix}

// hubSpotNames are HubSpot's names for what others call by a part and a label.
var hubSpotNames = map[string]string{"max": "limit", "daily": "daily-limit", "secondly": "secondly-limit"}

// windows are the spans of time that the name of a header can hold. Months and years are taken at their longest.
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

// units are what the name of a header can hold beside or instead of a span of time, and what is counted then.
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

// quotaFields are the lines of the headers that tell quotas.
type quotaFields struct {
	rateLimit, policy []string
	shopify, amazon   []string
	split             []splitQuota
	azure             []azureScope
}

// The parts of a quota that have a header each.
const (
	partLimit = iota
	partRemaining
	partReset
	partResetAfter
	partInterval
)

var parts = [...]string{"limit", "remaining", "reset", "reset-after", "interval-milliseconds"}

// splitQuota is one quota told by several headers: PREFIX-Limit, PREFIX-Remaining and so on, perhaps with a label at the end of each, such as
// Day, Tokens or Requests-Day, or before the part.
type splitQuota struct {
	prefix, label string
	unit          string
	window        time.Duration // -1 if the label holds none
	lines         [len(parts)][]string
	names         [len(parts)]string // of the headers
}

type azureScope struct {
	scope string
	lines []string
}

// add files the lines of the header with this name, in lower case.
func (q *quotaFields) add(name string, lines []string) {
	switch name {
	case "ratelimit":
		q.rateLimit = merge(q.rateLimit, lines)
		return
	case "ratelimit-policy":
		q.policy = merge(q.policy, lines)
		return
	case shopifyLimit:
		q.shopify = merge(q.shopify, lines)
		return
	case amazonLimit:
		q.amazon = merge(q.amazon, lines)
		return
	}
	if scope, ok := strings.CutPrefix(name, azurePrefix); ok {
		q.azure = append(q.azure, azureScope{scope, lines})
		return
	}
	for _, prefix := range splitPrefixes {
		rest, ok := strings.CutPrefix(name, prefix+"-")
		if !ok {
			continue
		}
		if usual := hubSpotNames[rest]; usual != "" && prefix == hubSpotPrefix {
			rest = usual
		}
		part, label := splitName(rest)
		unit, window, known := readLabel(label)
		if part < 0 || !known {
			return // such as X-RateLimit-Used
		}
		s := q.find(prefix, label)
		s.unit, s.window = unit, window
		s.lines[part], s.names[part] = merge(s.lines[part], lines), name
		return
	}
}

// splitName finds the part at one end of a header's name and returns what else is in it. Without a part it is -1.
func splitName(name string) (part int, label string) {
	for part := len(parts) - 1; part >= 0; part-- { // Reset-After before Reset
		if name == parts[part] {
			return part, ""
		}
		if label, ok := strings.CutPrefix(name, parts[part]+"-"); ok {
			return part, label
		}
		if label, ok := strings.CutSuffix(name, "-"+parts[part]); ok {
			return part, label
		}
	}
	return -1, ""
}

// readLabel reads what a quota counts, and over which span of time, such as in Tokens-Minute. What is not known may count anything.
func readLabel(label string) (unit string, window time.Duration, ok bool) {
	window = -1
	begin := strings.LastIndexByte(label, '-') + 1
	if w, ok := windows[label[begin:]]; ok {
		window, label = w, label[:max(begin-1, 0)]
	}
	unit, ok = units[label]
	return unit, window, ok
}

// find returns the quota of this prefix and label. There are at most as many as known labels.
func (q *quotaFields) find(prefix, label string) *splitQuota {
	for i := range q.split {
		if q.split[i].prefix == prefix && q.split[i].label == label {
			return &q.split[i]
		}
	}
	q.split = append(q.split, splitQuota{prefix: prefix, label: label})
	return &q.split[len(q.split)-1]
}

// policy is a quota as it stands for a longer time: its size and window, not what is left of it.
type policy struct {
	limit  Limit
	joined bool // with what is left of it
}

// unknown is a quota of which nothing is known.
var unknown = Limit{Unit: "requests", Limit: -1, Remaining: -1, Reset: -1, Window: -1}

func (r *reader) quotas(q *quotaFields) {
	policies := r.policies(q.policy)
	r.rateLimit(q.rateLimit, policies)
	for i := range q.split {
		if s := &q.split[i]; s.prefix == "ratelimit" {
			r.splitQuota(s, policies)
		} else {
			r.splitQuota(s, nil)
		}
	}
	r.policiesAlone(policies)
	for _, a := range q.azure {
		r.azure(a)
	}
	r.shopify(q.shopify)
	r.amazon(q.amazon)
}

// policiesAlone tells the policies whose remaining quota was not told.
func (r *reader) policiesAlone(policies []policy) {
	for _, p := range policies {
		if !p.joined {
			r.tell(p.limit, byNone, "", "")
		}
	}
}

// policies reads RateLimit-Policy: "NAME";q=100;w=60, or 100;w=60 up to draft -07.
func (r *reader) policies(lines []string) []policy {
	if len(lines) == 0 {
		return nil
	}
	list, ok := list(lines)
	if !ok {
		r.hints.Malformed = true
		return nil
	}
	policies := make([]policy, 0, len(list))
	for _, member := range list {
		l := unknown
		item, ok := member.(httpsfv.Item)
		if !ok || !readPolicy(item, &l) {
			r.hints.Malformed = true
			return nil
		}
		policies = append(policies, policy{limit: l})
	}
	return policies
}

func readPolicy(item httpsfv.Item, l *Limit) bool {
	name, named := text(item.Value)
	count := item.Value
	if named {
		l.Policy = name
		count, _ = item.Params.Get("q")
	}
	var ok bool
	if l.Limit, ok = count.(int64); !ok || l.Limit < 0 {
		return false
	}
	if unit, given := item.Params.Get("qu"); given {
		if l.Unit, ok = text(unit); !ok {
			return false
		}
	}
	l.Window, ok = windowParam(item.Params)
	return ok
}

// windowParam reads the parameter w, seconds; -1 when there is none.
func windowParam(params *httpsfv.Params) (time.Duration, bool) {
	value, given := params.Get("w")
	if !given {
		return -1, true
	}
	seconds, ok := value.(int64)
	if !ok || seconds <= 0 {
		return -1, false
	}
	if seconds > int64(never/time.Second) {
		return never, true
	}
	return time.Duration(seconds) * time.Second, true
}

// rateLimit reads RateLimit: "NAME";r=0;t=10, or limit=100, remaining=0, reset=10 in draft -07. A field with one bad member is malformed
// as a whole, and ignored as one, by section 7 of the draft.
func (r *reader) rateLimit(lines []string, policies []policy) {
	if len(lines) == 0 {
		return
	}
	limits, ok := r.serviceLimits(lines)
	if !ok {
		limits, ok = r.dictionary(lines)
	}
	if !ok {
		r.hints.Malformed = true
		return
	}
	for _, l := range limits {
		join(&l, policies)
		r.tell(l, byRateLimit, "ratelimit", "ratelimit")
	}
}

func (r *reader) serviceLimits(lines []string) ([]Limit, bool) {
	list, ok := list(lines)
	if !ok {
		return nil, false
	}
	limits := make([]Limit, 0, len(list))
	for _, member := range list {
		item, ok := member.(httpsfv.Item)
		if !ok {
			return nil, false
		}
		l := unknown
		if l.Policy, ok = text(item.Value); !ok {
			return nil, false
		}
		remaining, _ := item.Params.Get("r")
		if l.Remaining, ok = remaining.(int64); !ok || l.Remaining < 0 {
			return nil, false
		}
		if reset, given := item.Params.Get("t"); given {
			if l.Reset, ok = r.seconds(reset); !ok {
				return nil, false
			}
		}
		limits = append(limits, l)
	}
	return limits, true
}

func (r *reader) dictionary(lines []string) ([]Limit, bool) {
	lines, ok := structured(lines)
	if !ok {
		return nil, false
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return nil, false
	}
	l := unknown
	for _, key := range [...]string{"limit", "remaining", "reset"} {
		member, given := dict.Get(key)
		if !given {
			continue
		}
		item, _ := member.(httpsfv.Item)
		count, ok := item.Value.(int64)
		if !ok || count < 0 {
			return nil, false
		}
		switch key {
		case "limit":
			l.Limit = count
		case "remaining":
			l.Remaining = count
		case "reset":
			l.Reset = r.span(count, 0, time.Second)
		}
	}
	return []Limit{l}, l != unknown
}

// join adds to l what its policy tells: the one of its name or, for one without a name, the one of its size.
func join(l *Limit, policies []policy) {
	for i := range policies {
		p := policies[i].limit
		if p.Policy != l.Policy || p.Policy == "" && p.Limit != l.Limit {
			continue
		}
		l.Unit, l.Limit = p.Unit, p.Limit
		if l.Window < 0 {
			l.Window = p.Window
		}
		policies[i].joined = true
		return
	}
}

// splitQuota reads a quota told by several headers. Each is read for itself, for the others still tell something if one is unusable.
func (r *reader) splitQuota(s *splitQuota, policies []policy) {
	l := unknown
	l.Policy, l.Unit, l.Window = s.label, s.unit, s.window
	// The first number is the limit that is nearest to be reached, the others are policies, up to draft -03.
	limits := r.counts(s.lines[partLimit])
	var own []policy
	if len(limits) > 0 {
		l.Limit = limits[0].n
		if l.Window < 0 {
			l.Window = limits[0].window
		}
		for _, c := range limits[1:] {
			if c.window >= 0 {
				p := unknown
				p.Limit, p.Window = c.n, c.window
				own = append(own, policy{limit: p})
			}
		}
	}
	for _, c := range r.counts(s.lines[partRemaining]) { // several: the least is the safe reading
		if l.Remaining < 0 || c.n < l.Remaining {
			l.Remaining = c.n
		}
		if l.Window < 0 {
			l.Window = c.window
		}
	}
	for _, line := range s.lines[partInterval] {
		if n, _, ok := number(trim(line)); ok && 0 < n && n <= int64(never/time.Millisecond) {
			l.Window = max(l.Window, time.Duration(n)*time.Millisecond)
		} else {
			r.hints.Malformed = true
		}
	}
	if l.Policy == "" {
		join(&l, own)
		join(&l, policies)
	}

	from := partReset
	l.Reset, l.Dated = r.reset(s.lines[partReset])
	if after, dated := r.reset(s.lines[partResetAfter]); after >= 0 {
		from, l.Reset, l.Dated = partResetAfter, after, dated
	}
	if l.Limit >= 0 || l.Remaining >= 0 || l.Reset >= 0 {
		r.tell(l, s.rank(from), s.names[from], s.names[partRemaining])
	}
	r.policiesAlone(own)
}

// reset reads when a quota is renewed, and reports whether that was told as an instant.
func (r *reader) reset(lines []string) (wait time.Duration, dated bool) {
	r.dated = false
	wait = r.longest(lines, time.Second)
	return wait, r.dated
}

// rank is that of the wait which this part of the quota gives.
func (s *splitQuota) rank(part int) int {
	switch {
	case s.label != "" || s.prefix == hubSpotPrefix:
		return byLabel
	case s.prefix == "ratelimit":
		return byReset
	case s.prefix == "x-rate-limit":
		return byXDashReset
	case part == partResetAfter:
		return byXResetAfter
	}
	return byXReset
}

// azure reads X-Ms-Ratelimit-Remaining-SCOPE: a count or, for the scope "resource", a list of POLICY;COUNT. A reset is never told.
func (r *reader) azure(a azureScope) {
	for _, line := range a.lines {
		for part := range strings.SplitSeq(line, ",") {
			l := unknown
			l.Policy = a.scope
			if i := strings.LastIndexByte(part, ';'); i >= 0 {
				l.Policy, part = trim(part[:i]), part[i+1:]
			}
			n, _, ok := number(trim(part))
			if !ok {
				r.hints.Malformed = true
				continue
			}
			l.Remaining = n
			r.tell(l, byNone, "", "")
		}
	}
}

// shopify reads the level of a leaky bucket, such as 32/40. How fast it leaks is not told.
func (r *reader) shopify(lines []string) {
	for _, line := range lines {
		used, limit, _ := strings.Cut(line, "/")
		u, _, ok := number(trim(used))
		n, _, valid := number(trim(limit))
		if !ok || !valid {
			r.hints.Malformed = true
			continue
		}
		l := unknown
		l.Limit, l.Remaining = n, max(n-u, 0)
		r.tell(l, byNone, "", "")
	}
}

// amazon reads a rate a second, such as 5.0 or 0.0167, as so many requests in a second, or as one in the time that it has.
func (r *reader) amazon(lines []string) {
	for _, line := range lines {
		whole, frac, ok := number(trim(line))
		if !ok {
			r.hints.Malformed = true
			continue
		}
		l := unknown
		if l.Limit, l.Window = whole, time.Second; frac > 0 && whole < unixSeconds {
			const square = time.Second * time.Second
			billionths := time.Duration(whole)*time.Second + frac
			l.Limit, l.Window = 1, (square+billionths-1)/billionths
		}
		r.tell(l, byNone, "", "")
	}
}

// counted is a number of units, and the window it is for, or -1.
type counted struct {
	n      int64
	window time.Duration
}

// counts reads the counts in a Limit or Remaining header: mostly one number, also with a fraction, which is cut off; or a list with windows,
// such as 100, 100;w=60. It returns none if the header is unusable.
func (r *reader) counts(lines []string) []counted {
	if len(lines) == 0 {
		return nil
	}
	if len(lines) == 1 {
		if n, _, ok := number(trim(lines[0])); ok {
			return []counted{{n, -1}}
		}
	}
	list, ok := list(lines)
	if !ok {
		r.hints.Malformed = true
		return nil
	}
	counts := make([]counted, 0, len(list))
	for _, member := range list {
		item, _ := member.(httpsfv.Item)
		c := counted{n: -1}
		switch n := item.Value.(type) {
		case int64:
			c.n = n
		case float64:
			if n >= 0 {
				c.n = int64(n) // twelve digits at most
			}
		}
		if ok = c.n >= 0; ok {
			c.window, ok = windowParam(item.Params)
		}
		if !ok {
			r.hints.Malformed = true
			return nil
		}
		counts = append(counts, c)
	}
	return counts
}

// list parses a structured field that is a non-empty list.
func list(lines []string) (httpsfv.List, bool) {
	lines, ok := structured(lines)
	if !ok {
		return nil, false
	}
	list, err := httpsfv.UnmarshalList(lines)
	return list, err == nil && 0 < len(list) && len(list) <= maxLimits
}

// structured makes the lines of a field ready for the parser of structured fields: without white space around, which it would
// take for a part of the value, and without empty lines. It is false when nothing is left or it is too much to look at.
func structured(lines []string) ([]string, bool) {
	var kept []string
	size := 0
	for _, line := range lines {
		if line = trim(line); line == "" {
			continue
		}
		if size += len(line); size > maxField || len(kept) == maxLimits {
			return nil, false
		}
		kept = append(kept, line)
	}
	return kept, len(kept) > 0
}

// text is a string or a token: earlier drafts named their policies with tokens.
func text(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case httpsfv.Token:
		return string(v), true
	}
	return "", false
}

// seconds reads a non-negative Integer as a wait.
func (r *reader) seconds(value any) (time.Duration, bool) {
	n, ok := value.(int64)
	if !ok || n < 0 {
		return -1, false
	}
	return r.span(n, 0, time.Second), true
}
