package source

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/penstock/penstock/internal/human"
)

// A glob is a pattern below a fixed directory. The walk uses it instead of doublestar's own because
// io/fs, on which that one is built, refuses names that are not UTF-8, and so that one set of rules
// says what is left out.
type glob struct {
	text     string // as the user wrote it
	pattern  string
	segments []string
}

func hasMeta(s string) bool { return strings.ContainsAny(s, "*?[{") }

// parseGlob splits a pattern into its fixed directory and the rest.
func parseGlob(text string) (*glob, string, error) {
	p, err := cleanPattern(text)
	if err != nil {
		return nil, "", err
	}
	if strings.HasSuffix(filepath.ToSlash(text), "/") {
		return nil, "", fmt.Errorf("%s matches directories only: end with /** for the files "+
			"below them", human.Quote(text))
	}
	dir, rest := doublestar.SplitPattern(p)
	g := &glob{text: text, segments: strings.Split(rest, "/")}
	for _, seg := range g.segments {
		if !doublestar.ValidatePattern(seg) {
			return nil, "", fmt.Errorf("%s has a slash within braces or brackets: give several "+
				"globs instead", human.Quote(text))
		}
	}
	// A last ** stands for files at any depth below, not for the directory itself that it also
	// matches.
	if g.segments[len(g.segments)-1] == "**" {
		g.segments = append(g.segments, "*")
	}
	g.pattern = path.Join(g.segments...)
	return g, filepath.FromSlash(dir), nil
}

// cleanPattern puts a pattern into the form that matches clean paths with slashes. On Windows a
// backslash is a separator, elsewhere it takes the meaning from the character after it.
func cleanPattern(p string) (string, error) {
	c := slashed(p)
	if p == "" || !doublestar.ValidatePattern(c) {
		return "", fmt.Errorf("%s is not a valid glob", human.Quote(p))
	}
	return c, nil
}

func (g *glob) matches(rel string) bool { return doublestar.MatchUnvalidated(g.pattern, rel) }

// enters reports whether files below the directory rel can match.
func (g *glob) enters(rel string) bool {
	i := 0
	for seg := range strings.SplitSeq(rel, "/") {
		if g.segments[i] == "**" {
			return true
		}
		if i == len(g.segments)-1 || !doublestar.MatchUnvalidated(g.segments[i], seg) {
			return false
		}
		i++
	}
	return true
}

// asksFor reports whether the pattern names a hidden name as such, with the dot written out.
func (g *glob) asksFor(name string) bool {
	for _, seg := range g.segments {
		if strings.HasPrefix(seg, ".") && doublestar.MatchUnvalidated(seg, name) {
			return true
		}
	}
	return false
}
