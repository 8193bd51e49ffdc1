package bulk

import (
	"github.com/penstock/penstock/internal/lazy"

	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/curl"
)

const manifestName = "items.ndjson"

// reserved are the fields of a manifest's line that mean something to penstock.
var reserved = strings.Fields("body headers key line method path url v")

var identifier = lazy.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// A record collects the line of a manifest.
type record struct {
	members []string
	names   map[string]bool
}

// add adds a field, whose value is JSON, and returns the variable that stands for it.
func (r *record) add(name, value string) string {
	if !identifier.MatchString(name) || slices.Contains(reserved, name) {
		name = "field_" + notIdentifier.ReplaceAllString(name, "_")
	}
	if r.names[name] {
		name = fmt.Sprintf("%s_%d", name, len(r.members)+1)
	}
	if r.names == nil {
		r.names = map[string]bool{}
	}
	r.names[name] = true
	r.members = append(r.members, `"`+name+`": `+value)
	return "{" + name + "}"
}

var notIdentifier = lazy.MustCompile(`[^A-Za-z0-9_.-]+`)

// finish makes the record the manifest's one line.
func (t *translation) finish(r *record, what string) {
	t.record = "{" + strings.Join(r.members, ", ") + "}"
	t.add("--manifest", manifestName)
	t.note("Many %s: one line of %s each. What is the same for all may as well stand in the "+
		"command.", what, manifestName)
	t.note(`A "key" in a line names it in results and for the next run: {"key": "order 7", …}.`)
}

// jsonString is a text as JSON, on one line.
func jsonString(s string) string {
	if strings.Contains(s, curl.Mark) {
		s = strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s)
		return `"` + s + `"`
	}
	return `"` + requoted(s) + `"`
}

// formRecord sends a form without a file: its fields are those of a line.
func (t *translation) formRecord() {
	var r record
	for _, p := range t.c.Form {
		value := ""
		if secretName(p.Name) {
			value = "<" + partWord(t.ownedText(label(p.Name), p.Value), true)
		} else {
			t.mustFill(p.Value)
			value = r.add(p.Name, jsonString(p.Value))
		}
		t.add("-F", escape(p.Name)+"="+value+t.attributes(p))
	}
	t.finish(&r, "records")
}

// pairsText finds texts that are names and values. Names are simple: other texts may have an equals
// sign somewhere.
var pairsText = lazy.MustCompile(`^[\w.%\[\]$:+-]+=[^&]*(&[\w.%\[\]$:+-]+=[^&]*)*$`)

// bodyRecord returns the template of a body without a file, whose values are those of a line; "" if
// the line has the whole body.
func (t *translation) bodyRecord(text, kind string, asJSON bool) string {
	var r record
	switch {
	case asJSON && strings.HasPrefix(strings.TrimSpace(text), "{"):
		if template, ok := t.members(text, &r); ok {
			t.finish(&r, "records")
			return template
		}
		fallthrough
	case asJSON:
		r.members = append(r.members, `"body": `+compact(text))
		if kind != "application/json" {
			t.add("--content-type", kind)
		}
	case kind == formType && pairsText.MatchString(text):
		pairs := strings.Split(text, "&")
		for i, pair := range pairs {
			name, value, found := strings.Cut(pair, "=")
			switch {
			case !found:
				pairs[i] = escape(pair)
			case secretName(name):
				t.secretBody = true
				pairs[i] = escape(pair)
			default:
				t.mustFill(decoded(value))
				pairs[i] = name + "=" + r.add(decoded(name), jsonString(decoded(value)))
			}
		}
		t.finish(&r, "records")
		return strings.Join(pairs, "&")
	default:
		r.members = append(r.members, `"body": `+jsonString(text))
		t.add("--content-type", kind)
	}
	t.finish(&r, "bodies")
	return ""
}

// members returns an object as a template whose members' values are those of a line. It reports
// whether text is one object.
func (t *translation) members(text string, r *record) (template string, ok bool) {
	var b, value strings.Builder
	depth, key, inValue := 0, "", false
	call := strings.Contains(text, `"jsonrpc"`)
	query := strings.Contains(text, `"variables"`)
	end := func() {
		raw := value.String()
		trimmed := strings.TrimSpace(raw)
		lead := raw[:strings.Index(raw, trimmed)]
		trail := raw[len(lead)+len(trimmed):]
		value.Reset()
		inValue = false
		quoted := strings.HasPrefix(trimmed, `"`)
		if quoted {
			t.mustFill(unescaped(trimmed))
		}
		switch {
		case trimmed == "":
			b.WriteString(raw)
			return
		case secretName(key) && quoted:
			t.secretBody = true
			trimmed = escape(trimmed)
		case call && (key == "jsonrpc" || key == "method"), query && key == "query":
			trimmed = escape(trimmed)
		default:
			variable := r.add(key, compact(trimmed))
			if quoted {
				variable = `"` + variable + `"`
			}
			trimmed = variable
		}
		b.WriteString(lead + trimmed + trail)
	}
	tokens := jsonTokens(text)
	for i, token := range tokens {
		switch token.kind {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 && inValue {
				end()
			}
		case ',':
			if depth == 1 && inValue {
				end()
			}
		case '"':
			if depth == 1 && !inValue && isKey(tokens[i+1:]) {
				key = unescaped(token.text)
			}
		case ':':
			if depth == 1 && !inValue {
				b.WriteString(token.text)
				inValue = true
				continue
			}
		}
		if inValue {
			value.WriteString(token.text)
		} else {
			b.WriteString(token.text)
		}
	}
	return b.String(), depth == 0 && !inValue && len(r.members) > 0
}

// compact returns JSON on one line.
func compact(text string) string {
	var b strings.Builder
	for _, token := range jsonTokens(text) {
		switch token.kind {
		case ' ':
		case ',', ':':
			b.WriteString(token.text + " ")
		default:
			b.WriteString(token.text)
		}
	}
	return b.String()
}
