package bulk

import (
	"strings"

	"github.com/penstock/penstock/internal/curl"
)

const formType = "application/x-www-form-urlencoded"

// form sends a form.
func (t *translation) form() {
	t.method = "POST"
	if t.file.path == "" {
		t.formRecord()
		return
	}
	for _, p := range t.c.Form {
		var value string
		switch {
		case p.Kind != 0 && p.Value == t.file.path:
			value = string(p.Kind) + "{path}"
			t.varies++
		case p.Kind == '@' && t.file.beside(p.Value):
			end := strings.TrimPrefix(base(p.Value), t.file.stem)
			value = "@" + partWord("{dir}/{stem}"+escape(end), true)
			t.note("%s is the file beside each now. Where a directory is named, leave such files "+
				`out: --exclude "*%s".`, p.Value, end)
		case p.Kind != 0:
			value = string(p.Kind) + partWord(escape(p.Value), true)
			t.note("%s goes along with each file, and is the same for all. For one that differs, "+
				"such as one beside each file: {dir} and {stem} in its name.", p.Value)
		case secretName(p.Name) && !t.fills(p.Value):
			value = "<" + partWord(t.ownedText(label(p.Name), p.Value), true)
		default:
			value = partWord(t.value(p.Name, p.Value), false)
		}
		t.add("-F", escape(p.Name)+"="+value+t.attributes(p))
	}
}

// placeholders makes texts of <NAME>, which curl would take for the text of a file NAME>.
func (t *translation) placeholders() {
	for i := range t.c.Form {
		if p := &t.c.Form[i]; p.Kind == '<' && strings.HasSuffix(p.Value, ">") {
			p.Kind, p.Value = 0, "<"+p.Value
		}
	}
}

// fills reports whether a value is to be filled in, or varies: it is no secret as it stands.
func (t *translation) fills(value string) bool {
	return t.wholeValue("", value, inBody) != "" || t.nameIn(value) >= 0 || t.hasSum(value)
}

// attributes are those of a part of a form.
func (t *translation) attributes(p curl.Part) (text string) {
	if p.Type != "" {
		text += ";type=" + escape(p.Type)
	}
	if p.HasFilename {
		text += ";filename=" + partWord(t.vary(p.Filename, inBody), false)
	}
	if p.Dropped != "" {
		t.note("Not kept: %s of the field %s. penstock knows ;type= and ;filename=.", p.Dropped,
			p.Name)
	}
	return text
}

// partWord quotes a text for -F where it has to be.
func partWord(s string, file bool) string {
	begins, has := `"@<(`, ";"
	if file {
		begins, has = `"`, ";,"
	}
	if s == "" || !strings.Contains(begins, s[:1]) && !strings.ContainsAny(s, has) &&
		strings.TrimSpace(s) == s {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// body sends a text.
func (t *translation) body() {
	t.method = "POST"
	text := t.text()
	kind := t.contentType
	asJSON := isJSON(text) || t.c.JSON
	if kind == "" {
		kind = formType
		if asJSON {
			t.note("curl sends this JSON as %s, for it is given no Content-Type.", formType)
		}
	}
	switch {
	case t.file.path == "":
		text = t.bodyRecord(text, kind, asJSON)
		if text == "" {
			return
		}
	case asJSON:
		text = t.json(text)
	case kind == formType:
		if contentAt("", text) == 0 {
			t.note("penstock sends base64 with another type than %s.", formType)
			kind = "text/plain"
			text = t.value("", text)
		} else if text = t.pairs(text); strings.Contains(text, "{base64}") {
			t.formInstead(text)
			return
		}
	default:
		text = t.vary(text, inBody)
	}
	name, usual := "--data", formType
	if asJSON {
		name, usual = "--json", "application/json"
	}
	if t.secretBody || strings.HasPrefix(text, "@") {
		text = t.ownedText("body", text)
		if asJSON {
			text = "@" + text
		} else {
			name, usual = "--body-file", ""
		}
	}
	if kind != usual {
		t.add("--content-type", kind)
	}
	t.add(name, text)
	if t.file.path != "" && t.varies == 0 {
		t.note("Nothing in the body is of the file. Put {name}, {base64} or others where it differs.")
	}
}

// formInstead sends pairs as a form: base64 that is percent-encoded has a length that is not known
// before the file is read.
func (t *translation) formInstead(template string) {
	t.note("A form, multipart/form-data, instead of %s: penstock sends no base64 in the latter. Most "+
		"servers take both.", formType)
	for pair := range strings.SplitSeq(template, "&") {
		name, value, _ := strings.Cut(pair, "=")
		value = decoded(value)
		if secretName(name) && t.secretBody {
			value = "<" + partWord(t.ownedText(label(name), value), true)
		} else {
			value = partWord(value, false)
		}
		t.add("-F", decoded(name)+"="+value)
	}
}

// json returns JSON as a template.
func (t *translation) json(text string) string {
	return eachJSON(text, func(key, value string, quoted bool) string {
		if quoted {
			if secretName(key) && !t.fills(value) {
				t.secretBody = true
			}
			return t.value(key, value)
		}
		if digits.MatchString(value) && sizeName.MatchString(key) {
			t.varies++
			return "{size}"
		}
		return t.vary(value, inBody)
	})
}

// pairs returns a form that is encoded as a URL's query as a template.
func (t *translation) pairs(text string) string {
	pairs := strings.Split(text, "&")
	for i, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			pairs[i] = t.vary(pair, inBody)
			continue
		}
		if secretName(name) && !t.fills(decoded(value)) {
			t.secretBody = true
		}
		if as := t.wholeValue(name, decoded(value), inBody); as != "" {
			t.varies++
			value = as
		} else {
			value = t.value(name, value)
		}
		pairs[i] = name + "=" + value
	}
	return strings.Join(pairs, "&")
}
