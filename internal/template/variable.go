package template

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Value is what a variable stands for.
type Value struct {
	Text string
	Kind Kind
}

// A Kind is how a Value stands where its variable is.
type Kind uint8

// The kinds of values.
const (
	Text    Kind = iota // any text
	JSON                // Text is a JSON value that is no string; where no JSON is wanted, a text
	Content             // the content of the item in base64, which the caller writes
	Later               // not known yet: a URL keeps the variable as it is written
)

// IsNull reports whether it is the null of JSON, which is no text.
func (v Value) IsNull() bool { return v.Kind == JSON && v.Text == "null" }

// Fields are values by their variables' names.
type Fields map[string]Value

// Values returns the value of a variable, and whether there is one.
type Values func(name string) (Value, bool)

// The variables of every item. The line of a manifest has its fields besides, and perhaps a key.
var (
	ofName    = []string{"name", "stem", "ext", "path", "dir"}
	ofContent = []string{"size", "mtime", "sha256", "sha256_base64", "md5", "md5_base64", "base64",
		"uuid"}
)

// Variables that are not like the others. In the path of a URL the slashes of the first two stay.
const (
	PathVar    = "path"
	dirVar     = "dir"
	contentVar = "base64"
)

// Known reports whether every item has a variable.
func Known(name string) bool { return slices.Contains(ofName, name) || Volatile(name) }

// Volatile reports whether a variable depends on an item's content or identity, which URLs are a
// part of. A URL has no value of these before its request is made.
func Volatile(name string) bool { return slices.Contains(ofContent, name) }

// An UnknownVarError says that nothing is known of a variable.
type UnknownVarError struct {
	Name  string
	Place string // such as " in the URL", or empty
}

func (e *UnknownVarError) Error() string {
	return fmt.Sprintf("unknown variable {%s}%s: there are {name}, {path}, {dir}, {stem}, {ext}, "+
		"{size}, {mtime}, {sha256}, {md5}, {uuid} and a manifest line's own fields; {{%[1]s} is "+
		"the text {%[1]s}", e.Name, e.Place)
}

// scan splits a text at its variables. The text between two may come in several pieces.
//
// A variable is an identifier in braces; behind one more opening brace it is text. All other braces
// are text.
func scan(s string, text func(string), variable func(name string)) {
	for from := 0; from < len(s); {
		brace := strings.IndexByte(s[from:], '{')
		if brace < 0 {
			text(s[from:])
			return
		}
		brace += from
		if brace > from {
			text(s[from:brace])
		}
		name := variableAt(s[brace:])
		if from = brace + 1; name != "" {
			variable(name)
			from = brace + len(name) + 2
			continue
		}
		if name = variableAt(s[from:]); name == "" {
			text("{")
			continue
		}
		end := from + len(name) + 2
		text(s[from:end])
		from = end
	}
}

// variableAt returns the name of the variable that s begins with; "" if that is none.
func variableAt(s string) string {
	end := strings.IndexByte(s, '}')
	if end < 2 || s[0] != '{' || !identifier(s[1:end]) {
		return ""
	}
	return s[1:end]
}

// identifier reports whether s is a letter or '_', and then letters, digits, '_', '-' and '.'.
func identifier(s string) bool {
	for i := 0; i < len(s); i++ {
		if !alphanumeric(s[i]) && strings.IndexByte("_-.", s[i]) < 0 {
			return false
		}
	}
	return s != "" && strings.IndexByte("0123456789-.", s[0]) < 0
}

// Doubtful returns what in the path of a URL's template looks as if it were to be a variable, and
// is none; "" if nothing does.
func Doubtful(url string) string {
	var rest strings.Builder
	url, _, _ = strings.Cut(url, "?")
	scan(url, func(text string) {
		if variableAt(text) == "" {
			rest.WriteString(text)
		}
	}, func(string) { rest.WriteByte('/') })
	return doubtful.FindString(rest.String())
}

var doubtful = regexp.MustCompile(`\{\s*[A-Za-z_][^{}/?&]*\}?`)

func names(parts []part, are func(part) bool) (names []string) {
	for _, p := range parts {
		if p.name != "" && are(p) && !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	return names
}
