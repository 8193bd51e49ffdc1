// Package lazy has regular expressions that are compiled when they are first used. Those of a
// package that most runs do not use cost every run time and memory otherwise.
package lazy

import (
	"regexp"
	"sync"
)

// A Regexp is a regular expression with the methods of the same names of [regexp.Regexp].
type Regexp struct {
	pattern string
	get     func() *regexp.Regexp
}

// MustCompile returns a Regexp whose first use panics if the pattern does not parse. A test of
// internal/lint parses those that the source has.
func MustCompile(pattern string) Regexp {
	compile := func() *regexp.Regexp { return regexp.MustCompile(pattern) }
	return Regexp{pattern: pattern, get: sync.OnceValue(compile)}
}

func (r Regexp) FindAllString(s string, n int) []string { return r.get().FindAllString(s, n) }

func (r Regexp) FindString(s string) string { return r.get().FindString(s) }

func (r Regexp) FindStringSubmatch(s string) []string { return r.get().FindStringSubmatch(s) }

func (r Regexp) MatchString(s string) bool { return r.get().MatchString(s) }

func (r Regexp) ReplaceAllString(src, by string) string { return r.get().ReplaceAllString(src, by) }

func (r Regexp) String() string { return r.pattern }
