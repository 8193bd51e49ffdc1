package bulk

import (
	"github.com/penstock/penstock/internal/lazy"

	"encoding/json"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/curl"
)

// A place is where a text stands.
type place uint8

const (
	inBody place = iota
	inURL
	inHeader
)

// vary returns a text as a template: what is the file's in it are variables, and other braces text.
func (t *translation) vary(s string, in place) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == curl.Mark[0] {
			n := strings.IndexByte(s[i+1:], curl.Mark[0]) + 2
			if n < 2 {
				n = len(s) - i
			}
			b.WriteString(t.substitute(s[i:i+n], in))
			i += n
			continue
		}
		if n, as := t.sumAt(s, i); n > 0 {
			b.WriteString(as)
			t.varies++
			i += n
			continue
		}
		if n := t.nameAt(s, i); n > 0 {
			b.WriteString("{name}")
			t.varies++
			i += n
			continue
		}
		if s[i] == '{' && variable.MatchString(s[i:]) {
			b.WriteByte('{') // makes text of the variable
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// variable is what penstock takes for a variable.
var variable = lazy.MustCompile(`^\{[A-Za-z_][A-Za-z0-9_.-]*\}`)

// escape returns a text as a template without variables.
func escape(s string) string {
	pieces := strings.Split(s, curl.Mark)
	for i := range pieces {
		if i%2 == 0 {
			pieces[i] = anyVariable.ReplaceAllString(pieces[i], "{$0")
		}
	}
	return strings.Join(pieces, curl.Mark)
}

var anyVariable = lazy.MustCompile(`\{[A-Za-z_][A-Za-z0-9_.-]*\}`)

// substitute replaces what the shell fills in where that follows from the file.
func (t *translation) substitute(marked string, in place) string {
	if t.file.path == "" {
		return marked
	}
	raw := strings.Trim(marked, curl.Mark)
	if t.file.path == marked {
		t.varies++
		return "{name}"
	}
	variable, file := meaning(raw)
	switch {
	case variable == "uuid" || variable != "" && variable != "content" && file == t.file.path:
		if variable != "base64" || in == inBody {
			t.varies++
			return "{" + variable + "}"
		}
	case strings.HasPrefix(raw, "$(") || strings.HasPrefix(raw, "`"):
	default:
		return marked
	}
	t.note("%s is computed once, and the same for all files.", raw)
	return marked
}

// nameAt returns the length of the file's name, as it is or encoded, if that stands there.
func (t *translation) nameAt(s string, at int) int {
	for _, form := range t.file.forms {
		if !strings.HasPrefix(s[at:], form) {
			continue
		}
		end := at + len(form)
		if (at == 0 || !nameByte(s[at-1])) && (end == len(s) || !nameByte(s[end])) {
			return len(form)
		}
	}
	return 0
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' ||
		c == '-'
}

var (
	sizeName = lazy.MustCompile(`(?i)^(content|file|total|upload)?[_-]?` +
		`(size|length|bytes)([_-]?(in[_-]?)?bytes)?$`)
	digits      = lazy.MustCompile(`^\d+$`)
	hexSum      = lazy.MustCompile(`^[0-9a-f]{32}$|^[0-9a-f]{64}$`)
	namePattern = lazy.MustCompile(`(?i)^([<{\[:]+(your[_ -]?)?(file|object|image)[_ -]?name[>}\]]*` +
		`|(YOUR[_-])?(FILE|OBJECT|IMAGE)[_-]?NAME)$`)
	fillIn = lazy.MustCompile(`^<[^<>]+>$|(?i:\byour[_-]\w+)|\bYOUR [A-Z ]+\b|^[xX]{4}[xX-]*$|^(\.{3}|…)$|\{\{\w+\}\}|` +
		`\b([A-Z]+_)*(TOKEN|KEY|SECRET|PASSWORD|USERNAME)\b|\b([A-Z]+_)+ID\b`)
)

// value returns a value as a template. What it is may follow from the value as a whole, and
// from its name.
func (t *translation) value(name, value string) string {
	if t.file.path != "" {
		if as := t.wholeValue(name, value, inBody); as != "" {
			t.varies++
			return as
		}
		if !strings.Contains(value, curl.Mark) && value != "" && t.nameIn(value) < 0 &&
			!t.hasSum(value) {
			t.constants++
		}
	}
	t.mustFill(value)
	return t.vary(value, inBody)
}

func (t *translation) wholeValue(name, value string, in place) string {
	f := &t.file
	if at := contentAt(name, value); at >= 0 && in == inBody {
		return escape(value[:at]) + "{base64}"
	}
	lower := strings.ToLower(name)
	switch {
	case namePattern.MatchString(value):
		return "{name}"
	case f.stem != "" && value == f.stem && len(value) > 1:
		return "{stem}"
	case value == f.name && len(value) > 1 && !f.made && f.stem != "":
		return "{name}"
	case digits.MatchString(value) && sizeName.MatchString(name):
		return "{size}"
	case len(value) == 64 && hexSum.MatchString(value) && strings.Contains(lower, "sha"),
		placeholderOf(value, "sha256", "sha-256"):
		return "{sha256}"
	case len(value) == 32 && hexSum.MatchString(value) && strings.Contains(lower, "md5"),
		placeholderOf(value, "md5"):
		return "{md5}"
	}
	return ""
}

// placeholderOf reports whether a value is something such as <sha256>.
func placeholderOf(value string, of ...string) bool {
	inner := strings.ToLower(strings.Trim(value, "<>[]{}"))
	inner = strings.TrimPrefix(inner, "your_")
	return len(inner) < len(value) && slices.Contains(of, inner)
}

// nameIn is where the file's name stands in a text; -1 if it does not.
func (t *translation) nameIn(s string) int {
	for i := range len(s) {
		if t.nameAt(s, i) > 0 {
			return i
		}
	}
	return -1
}

// mustFill remembers what a user seems to have to put a value in for.
func (t *translation) mustFill(value string) {
	plain := strings.Split(value, curl.Mark)
	found := ""
	for i := 0; i < len(plain) && found == ""; i += 2 {
		found = fillIn.FindString(plain[i])
	}
	if found != "" && len(found) < 60 && !slices.Contains(t.fillIns, found) {
		t.fillIns = append(t.fillIns, found)
	}
}

// A jsonToken is a bracket, a colon, a comma, a string ('"'), another scalar ('0') or blanks (' ').
type jsonToken struct {
	kind byte
	text string
}

// jsonTokens splits a text, which may have Marks, and need not be valid. All of it is in the
// tokens.
func jsonTokens(s string) (tokens []jsonToken) {
	for len(s) > 0 {
		n, kind := 1, s[0]
		skip := func() { // one character, or all between two Marks
			if s[n] == curl.Mark[0] {
				n += strings.IndexByte(s[n+1:]+curl.Mark, curl.Mark[0]) + 1
			}
			n = min(n+1, len(s))
		}
		switch {
		case strings.IndexByte("{}[]:,", kind) >= 0:
		case strings.IndexByte(" \t\r\n", kind) >= 0:
			n = len(s) - len(strings.TrimLeft(s, " \t\r\n"))
			kind = ' '
		case kind == '"':
			for n < len(s) && s[n] != '"' {
				if s[n] == '\\' && n+1 < len(s) {
					n++
				}
				skip()
			}
			n = min(n+1, len(s))
		default:
			kind, n = '0', 0
			for n < len(s) && strings.IndexByte("{}[]:,\" \t\r\n", s[n]) < 0 {
				skip()
			}
		}
		tokens = append(tokens, jsonToken{kind, s[:n]})
		s = s[n:]
	}
	return tokens
}

// eachJSON calls f for each scalar value, with the name of the member that it is in or below, and
// returns the text with what f returns in their places. A string is given without its quotes, its
// escapes undone if they can be.
func eachJSON(text string, f func(key, value string, quoted bool) string) string {
	tokens := jsonTokens(text)
	var b strings.Builder
	key := ""
	for i, token := range tokens {
		switch {
		case token.kind == '"' && isKey(tokens[i+1:]):
			key = unescaped(token.text)
		case token.kind == '"':
			plain := unescaped(token.text)
			if now := f(key, plain, true); now != plain {
				b.WriteString(`"` + requoted(now) + `"`)
				continue
			}
		case token.kind == '0':
			b.WriteString(f(key, token.text, false))
			continue
		}
		b.WriteString(token.text)
	}
	return b.String()
}

func isKey(next []jsonToken) bool {
	if len(next) > 0 && next[0].kind == ' ' {
		next = next[1:]
	}
	return len(next) > 0 && next[0].kind == ':'
}

// unescaped is a string of JSON without its quotes and escapes.
func unescaped(token string) string {
	var s string
	if strings.Contains(token, `\`) && json.Unmarshal([]byte(token), &s) == nil {
		return s
	}
	return strings.TrimSuffix(strings.TrimPrefix(token, `"`), `"`)
}

// requoted writes a text for a string of JSON.
func requoted(s string) string {
	if strings.Contains(s, curl.Mark) {
		return s // it was not unescaped
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can be encoded
	text := strings.TrimSuffix(b.String(), "\n")
	return text[1 : len(text)-1]
}

func isJSON(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") ||
		strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]")
}
