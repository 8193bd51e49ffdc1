package conceal

import (
	"regexp"
	"strings"

	"github.com/penstock/penstock/internal/secret"
)

// Field returns a field of a form, NAME=VALUE, without a value that may be secret by its name.
// Files and variables are none.
func Field(field string) string {
	name, value, found := strings.Cut(field, "=")
	if !found || !secret.Named(name) || isBlank(value) || strings.HasPrefix(value, "@") ||
		strings.HasPrefix(value, "<") {
		return Argument(field)
	}
	return name + "=" + secret.Mask
}

// member is a string of JSON and its name.
var member = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"(\s*:\s*)"((?:[^"\\]|\\.)*)"`)

// Body returns the text of a body, JSON or as forms of the web are, without the values that may be
// secret by their names.
func Body(text string) string {
	if strings.HasPrefix(text, "@") {
		return text
	}
	if t := strings.TrimSpace(text); strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") {
		return member.ReplaceAllStringFunc(text, func(s string) string {
			m := member.FindStringSubmatch(s)
			if !secret.Named(m[1]) || isBlank(m[3]) {
				return s
			}
			return `"` + m[1] + `"` + m[2] + `"` + secret.Mask + `"`
		})
	}
	pairs := strings.Split(text, "&")
	for i, pair := range pairs {
		pairs[i] = Field(pair)
	}
	return strings.Join(pairs, "&")
}

var oneVariable = regexp.MustCompile(`^\{[A-Za-z_][\w.-]*\}$`)

// isBlank reports whether a value is empty, or a variable alone.
func isBlank(value string) bool { return value == "" || oneVariable.MatchString(value) }
