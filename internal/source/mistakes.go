package source

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/template"
)

// A Mistake is an error about what is to be sent that a setting of the run can mend.
type Mistake struct {
	Kind  MistakeKind
	Text  string // what is wrong
	About string // by kind
	Err   error  // why, if that is known
}

// Error returns one line, without what to do about it.
func (e *Mistake) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return e.Text + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Mistake) Unwrap() error { return e.Err }

// A MistakeKind is what a Mistake is about.
type MistakeKind int

// The kinds of mistakes.
const (
	PathWithNUL        MistakeKind = iota // which may separate names
	ManifestUnselected                    // Options.Manifest has results, and Only is empty
	FromUnselected                        // Options.From without Only
	Unreadable                            // an entry of a directory, which Exclude can leave out
	URLHidden                             // results hide a part of a URL, and there is no Template
	URLNeedsVariable                      // the Template asks for About, which results do not have
	URLDiffers                            // the Template gives About
	VariableLost                          // a header or body has one that results do not have
	ResultsAmongOthers                    // a line of results in another manifest
	NoURL                                 // neither a line nor Template has one
	KeyInHeader                           // Options.KeyHeader among a line's headers
	Unfilled                              // a variable elsewhere than in Template
	NoKey                                 // neither a key nor a path, by which to know a line
	URLUnfilled                           // a variable in the URL of a line
)

// A lackError says that a manifest's line has no value for a variable.
type lackError struct {
	name string
	in   string // if empty, the URL
}

func (e *lackError) Error() string {
	if e.in != "" {
		return fmt.Sprintf("no %q, which %s has as {%s}: add it to the line", e.name, e.in, e.name)
	}
	return fmt.Sprintf("no %q, which the URL has as {%s}: add it to the line, or give the line a "+
		"\"url\" of its own", e.name, e.name)
}

// errNoPath says that a manifest's line names no file, where one is to be sent.
var errNoPath = errors.New(`no "path", and a file is to be sent`)

// variable is what looks like one of a template's.
var variable = regexp.MustCompile(`\{[A-Za-z_][\w.-]*\}`)

// CheckNoVariable returns an error for a text that has a variable where none is filled in. Other
// words in braces may mean what they say.
func CheckNoVariable(text string) error {
	for _, v := range variable.FindAllString(text, -1) {
		if template.Known(strings.Trim(v, "{}")) {
			return &Mistake{Kind: Unfilled,
				Text: fmt.Sprintf("variables such as %s are not filled in here", v)}
		}
	}
	return nil
}

// known are the fields of a manifest's line that mean something by themselves.
var known = []string{"path", "url", "method", "headers", "key", "body"}

// fieldDoubts are fields of a manifest that look like one of these, and that no URL asks for.
type fieldDoubts map[string]string

func (d *fieldDoubts) note(e entry, t *template.URL) {
	for name := range e.fields {
		if slices.Contains(known, name) || t != nil && slices.Contains(t.Vars(), name) {
			continue
		}
		for _, k := range known {
			if strings.EqualFold(name, k) || oneApart(strings.ToLower(name), k) {
				if *d == nil {
					*d = fieldDoubts{}
				}
				if len(*d) < maxFailures {
					(*d)[name] = k
				}
			}
		}
	}
}

func (d fieldDoubts) warnings() (lines []string) {
	for name, k := range d {
		lines = append(lines, fmt.Sprintf("the manifest has the field %s, which is not used: did "+
			"you mean %q?", human.Quote(name), k))
	}
	slices.Sort(lines)
	return lines
}

// oneApart reports whether one letter more, less or another, or two that changed places, make a of
// b.
func oneApart(a, b string) bool {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	switch len(a) - len(b) {
	case 1:
		return a[1:] == b
	case -1:
		return a == b[1:]
	case 0:
		return len(a) > 0 && (a[1:] == b[1:] || len(a) > 1 && a[0] == b[1] && a[1] == b[0] &&
			a[2:] == b[2:])
	}
	return false
}
