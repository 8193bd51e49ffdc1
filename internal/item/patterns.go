package item

import (
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Patterns stand for items, by their paths or their URLs.
type Patterns []*pattern

type pattern struct {
	text    string
	url     bool
	glob    bool // else there are only names that equal it, or are below it
	matched bool
}

// ReadPatterns reads paths or globs; one that ends in a slash stands for all below it, and one that
// has :// is for URLs.
func ReadPatterns(texts []string) (patterns Patterns) {
	for _, text := range texts {
		p := &pattern{text: text, url: strings.Contains(text, "://")}
		if !p.url {
			p.text = strings.TrimPrefix(filepath.ToSlash(text), "./")
		}
		p.glob = doublestar.ValidatePattern(p.text)
		patterns = append(patterns, p)
	}
	return patterns
}

// Match reports whether one of the patterns stands for an item with that path and URL. None at all
// stand for everything.
func (patterns Patterns) Match(path, url string) bool {
	found := len(patterns) == 0
	for _, p := range patterns {
		if p.match(path, url) {
			p.matched, found = true, true
		}
	}
	return found
}

// Unmatched returns those that have stood for no item so far.
func (patterns Patterns) Unmatched() (texts []string) {
	for _, p := range patterns {
		if !p.matched {
			texts = append(texts, p.text)
		}
	}
	return texts
}

func (p *pattern) match(path, url string) bool {
	s := filepath.ToSlash(path)
	if p.url {
		s = url
	}
	glob := func(text string) bool { return p.glob && doublestar.MatchUnvalidated(text, s) }
	if strings.HasSuffix(p.text, "/") && (strings.HasPrefix(s, p.text) || glob(p.text+"**")) {
		return true
	}
	return s == p.text || glob(p.text)
}
