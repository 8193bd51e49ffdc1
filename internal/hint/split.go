package hint

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// quotaFields are the lines of the headers that state quotas.
type quotaFields struct {
	rateLimit, policy []string
	split             []splitQuota
	alone             []aloneQuota
}

// splitQuota is one quota stated by several headers: PREFIX-Limit, PREFIX-Remaining and so on,
// perhaps with a label at the end of each, such as Day, Tokens or Requests-Day, or before the part.
type splitQuota struct {
	*dialect
	label  string
	unit   string
	window time.Duration // -1 if the label holds none
	lines  [len(parts)][]string
	names  [len(parts)]string // of the headers
}

// aloneQuota is a header that states a quota by itself.
type aloneQuota struct {
	*dialect
	rest  string // of its name
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
	}
	for i := range dialects {
		d := &dialects[i]
		rest, ok := d.cut(name)
		switch {
		case !ok:
			continue
		case d.alone != nil:
			q.alone = append(q.alone, aloneQuota{d, rest, lines})
		default:
			q.addPart(d, cmp.Or(d.usual[rest], rest), name, lines)
		}
		return
	}
}

// addPart files the lines of a header that states a part of a quota. Other names, such as
// X-RateLimit-Used, are passed over.
func (q *quotaFields) addPart(d *dialect, rest, name string, lines []string) {
	part, label := splitName(rest)
	unit, window, known := readLabel(label)
	if part < 0 || !known {
		return
	}
	i := slices.IndexFunc(q.split, func(s splitQuota) bool {
		return s.dialect == d &&
			s.label == label
	})
	if i < 0 { // there are at most as many as known labels
		i = len(q.split)
		q.split = append(q.split, splitQuota{dialect: d, label: label, unit: unit, window: window})
	}
	s := &q.split[i]
	s.lines[part], s.names[part] = merge(s.lines[part], lines), name
}

// splitQuota reads a quota stated by several headers. Each is read by itself, since the others are
// still of use if one is not.
func (r *reader) splitQuota(s *splitQuota, policies []policy) {
	l := unknown
	l.Policy, l.Unit, l.Window = s.label, s.unit, s.window
	// The first number is the limit that is nearest to be reached, the others are policies, up to
	// draft -03.
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
		if s.policy {
			join(&l, policies)
		}
	}

	from := partReset
	l.Reset, l.Dated = r.reset(s.lines[partReset])
	if after, dated := r.reset(s.lines[partResetAfter]); after >= 0 {
		from, l.Reset, l.Dated = partResetAfter, after, dated
	}
	if l.Limit >= 0 || l.Remaining >= 0 || l.Reset >= 0 {
		r.tell(l, s.rankOf(from), s.names[from], s.names[partRemaining])
	}
	r.policiesAlone(own)
}

// reset reads when a quota is renewed, and reports whether that was stated as an instant.
func (r *reader) reset(lines []string) (wait time.Duration, dated bool) {
	r.dated = false
	wait = r.longest(lines, time.Second)
	return wait, r.dated
}

// rankOf returns the rank of the wait which this part of the quota gives.
func (s *splitQuota) rankOf(part int) int {
	switch {
	case s.label != "":
		return byLabel
	case s.rank == byXReset && part == partResetAfter:
		return byXResetAfter
	}
	return s.rank
}

// alone reads a quota that one header states.
func (r *reader) alone(q aloneQuota) {
	for _, line := range q.lines {
		values := []string{line}
		if q.list {
			values = strings.Split(line, ",")
		}
		for _, value := range values {
			if l, ok := q.dialect.alone(q.rest, value); ok {
				r.tell(l, byNone, "", "")
			} else {
				r.hints.Malformed = true
			}
		}
	}
}

// counted is a number of units, and the window it is for, or -1.
type counted struct {
	n      int64
	window time.Duration
}

// counts reads the counts in a Limit or Remaining header: mostly one number, also with a fraction,
// which is cut off; or a list with windows, such as 100, 100;w=60. It returns none if the header is
// unusable.
func (r *reader) counts(lines []string) []counted {
	if len(lines) == 1 {
		if n, _, ok := number(trim(lines[0])); ok {
			return []counted{{n, -1}}
		}
	}
	return members(r, lines, readCount)
}

func readCount(item httpsfv.Item) (c counted, ok bool) {
	c.n = -1
	switch n := item.Value.(type) {
	case int64:
		c.n = n
	case float64:
		if n >= 0 {
			c.n = int64(n) // twelve digits at most
		}
	}
	c.window, ok = windowParam(item.Params)
	return c, ok && c.n >= 0
}
