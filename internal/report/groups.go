package report

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
)

const (
	// maxGroups bounds memory when every answer has a text of its own.
	maxGroups = 20
	// maxText bounds what one error text may cost. Servers put whole pages into their error bodies.
	maxText = 300
)

// ErrorGroup counts the items that ended alike: same status, same HTTP status, and the same error
// text but for numbers, paths, URLs and quoted parts.
type ErrorGroup struct {
	Status     item.Fate `json:"status"`
	HTTPStatus int       `json:"http_status"`
	Count      int64     `json:"count"`
	// The first item of the group, as an example.
	Path  string `json:"path"`
	URL   string `json:"-"`
	Error string `json:"error"`
	// Elsewhere is set if another item of the group has another URL.
	Elsewhere bool `json:"-"`
}

// request is what errors of the network begin with: a method and a URL.
var request = regexp.MustCompile(`^[A-Z]+ https?://\S*: `)

// text returns the error in words that are true of all items of the group.
func (g *ErrorGroup) text() string {
	if g.Elsewhere {
		return strings.TrimPrefix(g.Error, request.FindString(g.Error))
	}
	return g.Error
}

type groupKey struct {
	status     item.Fate
	httpStatus int
	text       string
}

// groups counts items by likeness. It takes the first maxGroups kinds and counts what comes after
// as others.
type groups struct {
	byKey  map[groupKey]*ErrorGroup
	others int64
}

func (g *groups) add(key groupKey, it *results.Result) {
	if group := g.byKey[key]; group != nil {
		group.Count++
		group.Elsewhere = group.Elsewhere || group.URL != it.URL
		return
	}
	if len(g.byKey) == maxGroups {
		g.others++
		return
	}
	if g.byKey == nil {
		g.byKey = make(map[groupKey]*ErrorGroup)
	}
	g.byKey[key] = &ErrorGroup{
		Status: it.Status, HTTPStatus: it.HTTPStatus, Count: 1,
		// A clone, lest a short example keep a whole answer in memory.
		Path: strings.Clone(it.Path), URL: strings.Clone(it.URL),
		Error: strings.Clone(human.Cut(it.Error, maxText)),
	}
}

// list returns the groups, the largest first.
func (g *groups) list() []ErrorGroup {
	list := make([]ErrorGroup, 0, len(g.byKey))
	for _, group := range g.byKey {
		list = append(list, *group)
	}
	slices.SortFunc(list, func(a, b ErrorGroup) int {
		return cmp.Or(
			cmp.Compare(b.Count, a.Count), cmp.Compare(a.Status.String(), b.Status.String()),
			cmp.Compare(a.HTTPStatus, b.HTTPStatus), cmp.Compare(a.Error, b.Error),
			cmp.Compare(a.Path, b.Path))
	})
	return list
}

func keyOf(it *results.Result) groupKey {
	return groupKey{it.Status, it.HTTPStatus, normalise(human.Cut(it.Error, maxText))}
}

// normalise replaces what differs between two errors of one kind: quoted parts and words with a
// digit or a slash in them. It is a single pass, since an outage calls it for every item.
func normalise(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c := s[i]
		if isSpace(c) {
			if n := len(out); n > 0 && out[n-1] != ' ' {
				out = append(out, ' ')
			}
			i++
			continue
		}
		// A quote is one only at the beginning of a word: not in "can't".
		if c == '"' || c == '\'' || c == '`' {
			if n := strings.IndexByte(s[i+1:], c); n >= 0 {
				out = append(out, '"')
				i += n + 2
				continue
			}
		}
		start, kind := i, byte(0)
		for ; i < len(s) && !isSpace(s[i]); i++ {
			switch c := s[i]; {
			case c == '/' || c == '\\':
				kind = '/'
			case c >= '0' && c <= '9' && kind == 0:
				kind = '#'
			}
		}
		if kind == 0 {
			out = append(out, s[start:i]...)
		} else {
			out = append(out, kind)
		}
	}
	return string(out)
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
