package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/penstock/penstock/internal/compose"
	"github.com/penstock/penstock/internal/form"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/lines"
	"github.com/penstock/penstock/internal/template"
)

// bodyFlags say what the bodies of requests are made of, where they are not the files.
type bodyFlags struct {
	form *compose.Template // nil without a field
	json string
	data []string
	file string
}

func (b *bodyFlags) register(to *pflag.FlagSet) {
	field := func(add func(*compose.Template, string) error) func(*compose.Template, string) (
		*compose.Template, error) {
		return func(before *compose.Template, s string) (*compose.Template, error) {
			if before == nil {
				before = new(compose.Template)
			}
			return before, add(before, s)
		}
	}
	to.VarP(severalValues(&b.form, "FIELD", field((*compose.Template).AddField)), "form", "F",
		"field of a form, as in curl: NAME=VALUE, NAME=@FILE, NAME=<FILE, with ;type= and "+
			";filename=; a NAME alone holds the file; may be repeated")
	to.Var(severalValues(&b.form, "FIELD", field((*compose.Template).AddString)),
		"form-string", "field of a form whose value may begin with @ or <, and have a semicolon; "+
			"may be repeated")
	to.Var(text(&b.json, "JSON"), "json",
		"send this JSON instead of the file, with variables in it; or @FILE that has it")
	to.VarP(severalValues(&b.data, "DATA", func(before []string, s string) ([]string, error) {
		return append(before, s), nil
	}), "data", "d", "send this instead of the file, as a web page's form is sent: "+
		"a={name}&b=…; or @FILE that has it; several are joined by &")
	to.Var(text(&b.file, "FILE"), "body-file",
		"send the text in FILE instead of the file, with variables in it; the type is by its "+
			"extension")
}

// given returns the flags that say what bodies are.
func (b *bodyFlags) given() (flags []string) {
	if b.form != nil {
		flags = append(flags, "--form")
	}
	if b.json != "" {
		flags = append(flags, "--json")
	}
	if b.data != nil {
		flags = append(flags, "--data")
	}
	if b.file != "" {
		flags = append(flags, "--body-file")
	}
	return flags
}

// files returns the files that the run reads texts of bodies from.
func (b *bodyFlags) files() []string {
	files := []string{b.file}
	for _, text := range append(b.data, b.json) {
		if name, isFile := strings.CutPrefix(text, "@"); isFile {
			files = append(files, name)
		}
	}
	return files
}

// template returns what bodies are made of; nil if they are the files. The type is that of all
// requests, empty where none was given.
func (b *bodyFlags) template(contentType string) (t *compose.Template, err error) {
	switch {
	case b.form != nil:
		if contentType != "" {
			return nil, errors.New("--form and a content type: a form's type is " +
				"multipart/form-data; leave out one of them")
		}
		if err := b.form.CheckFiles(); err != nil {
			return nil, fmt.Errorf("--form: %w", err)
		}
		return b.form, nil
	case b.json != "":
		text, err := textOrFile(b.json)
		if err == nil {
			t, err = compose.ParseText(text, template.PlaceJSON,
				cmp.Or(contentType, "application/json"))
		}
		if err != nil {
			return nil, fmt.Errorf("--json: %w", err)
		}
	case b.data != nil:
		var parts []string
		for _, s := range b.data {
			text, err := textOrFile(s)
			if err != nil {
				return nil, fmt.Errorf("--data: %w", err)
			}
			if text != s { // of a file, as in curl
				text = strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(text)
			}
			parts = append(parts, text)
		}
		contentType = cmp.Or(contentType, "application/x-www-form-urlencoded")
		t, err = compose.ParseText(strings.Join(parts, "&"), template.PlaceOf(contentType),
			contentType)
		if err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
	case b.file != "":
		text, err := readTemplate(b.file)
		if err == nil {
			contentType = cmp.Or(contentType, form.ContentType(b.file))
			t, err = compose.ParseText(text, template.PlaceOf(contentType), contentType)
		}
		if err != nil {
			return nil, fmt.Errorf("--body-file %s: %w", human.Quote(b.file), err)
		}
	}
	return t, nil
}

// textOrFile returns the text, or of @FILE that of the file.
func textOrFile(s string) (string, error) {
	name, isFile := strings.CutPrefix(s, "@")
	if !isFile {
		return s, nil
	}
	text, err := readTemplate(name)
	if err != nil {
		err = fmt.Errorf("%s: %w", human.Quote(name), err)
	}
	return text, err
}

// maxTemplate bounds the text of a body, which is in memory for each request under way.
const maxTemplate = 16 << 20

func readTemplate(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", lines.Reason(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	switch {
	case err != nil:
		return "", lines.Reason(err)
	case len(text) > maxTemplate:
		return "", fmt.Errorf("it is larger than %s, and is the text around what is sent: "+
			"large files go into it by {base64}, or are sent without it", human.Size(maxTemplate))
	}
	return string(text), nil
}
