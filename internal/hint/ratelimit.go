package hint

import (
	"time"

	"github.com/dunglas/httpsfv"
)

// Bounds on what is looked at. A structured field beyond them counts as malformed. Real ones hold
// one to five quotas.
const (
	maxField  = 8 << 10
	maxLimits = 64
)

// policy is a quota as it stands for a longer time: its size and window, not what is left of it.
type policy struct {
	limit  Limit
	joined bool // with what is left of it
}

// unknown is a quota of which nothing is known.
var unknown = Limit{Unit: "requests", Limit: -1, Remaining: -1, Reset: -1, Window: -1}

func (r *reader) quotas(q *quotaFields) {
	policies := members(r, q.policy, readPolicy)
	r.rateLimit(q.rateLimit, policies)
	for i := range q.split {
		r.splitQuota(&q.split[i], policies)
	}
	r.policiesAlone(policies)
	for _, a := range q.alone {
		r.alone(a)
	}
}

// policiesAlone records the policies whose remaining quota was not stated.
func (r *reader) policiesAlone(policies []policy) {
	for _, p := range policies {
		if !p.joined {
			r.tell(p.limit, byNone, "", "")
		}
	}
}

// readPolicy reads a member of RateLimit-Policy: "NAME";q=100;w=60, or 100;w=60 up to draft -07.
func readPolicy(item httpsfv.Item) (policy, bool) {
	l := unknown
	name, named := text(item.Value)
	count := item.Value
	if named {
		l.Policy = name
		count, _ = item.Params.Get("q")
	}
	var ok bool
	if l.Limit, ok = count.(int64); !ok || l.Limit < 0 {
		return policy{}, false
	}
	if unit, given := item.Params.Get("qu"); given {
		if l.Unit, ok = text(unit); !ok {
			return policy{}, false
		}
	}
	l.Window, ok = windowParam(item.Params)
	return policy{limit: l}, ok
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

// rateLimit reads RateLimit: "NAME";r=0;t=10, or limit=100, remaining=0, reset=10 in draft -07. A
// field with one bad member is malformed as a whole, and ignored as one, by section 7 of the draft.
func (r *reader) rateLimit(lines []string, policies []policy) {
	if len(lines) == 0 {
		return
	}
	limits, ok := list(lines, r.serviceLimit)
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

func (r *reader) serviceLimit(item httpsfv.Item) (Limit, bool) {
	l := unknown
	var ok bool
	if l.Policy, ok = text(item.Value); !ok {
		return l, false
	}
	remaining, _ := item.Params.Get("r")
	if l.Remaining, ok = remaining.(int64); !ok || l.Remaining < 0 {
		return l, false
	}
	if reset, given := item.Params.Get("t"); given {
		seconds, whole := reset.(int64)
		if !whole || seconds < 0 {
			return l, false
		}
		l.Reset = r.span(seconds, 0, time.Second)
	}
	return l, true
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

// join adds to l what its policy states: the one of its name or, for one without a name, the one of
// its size.
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

// members reads the members of a field that is a list. If the field is there and unusable, it
// returns none.
func members[T any](r *reader, lines []string, read func(httpsfv.Item) (T, bool)) []T {
	if len(lines) == 0 {
		return nil
	}
	values, ok := list(lines, read)
	if !ok {
		r.hints.Malformed = true
	}
	return values
}

// list reads a structured field that is a non-empty list of items. One bad member spoils it.
func list[T any](lines []string, read func(httpsfv.Item) (T, bool)) ([]T, bool) {
	lines, ok := structured(lines)
	if !ok {
		return nil, false
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil || len(list) == 0 || len(list) > maxLimits {
		return nil, false
	}
	values := make([]T, len(list))
	for i, member := range list {
		item, ok := member.(httpsfv.Item)
		if ok {
			values[i], ok = read(item)
		}
		if !ok {
			return nil, false
		}
	}
	return values, true
}

// structured makes the lines of a field ready for the parser of structured fields: without white
// space around, which it would take for a part of the value, and without empty lines. It is false
// when nothing is left or it is too much to look at.
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
