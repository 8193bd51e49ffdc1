package compose

import (
	"github.com/penstock/penstock/internal/form"
	"github.com/penstock/penstock/internal/item"
)

// Show returns what the body of an item is: its media type, and its fields as they are given to
// [Template.AddField], or its text. Values that depend on the content of files are not filled in.
// If the file alone is sent, there is none.
func Show(it *item.Item) (contentType string, fields []string, text string) {
	switch c := it.Content.(type) {
	case *Text:
		return c.Type, nil, string(c.Data)
	case *Content:
		if c.template.IsForm() {
			return "multipart/form-data", c.showFields(it), ""
		}
		p, _ := c.plan(unfilled(it), "") // Content has written it before
		return c.template.typ, nil, string(p.text)
	}
	return "", nil, ""
}

// showFields spells the fields of a form with their values.
func (c *Content) showFields(it *item.Item) (lines []string) {
	values := unfilled(it)
	for i, f := range c.template.fields {
		head, err := f.head(c, i, values)
		if err != nil {
			continue // nor does this fail
		}
		line := f.name + "="
		switch {
		case c.fields[i] < 0:
			text, _, _ := f.value.Expand(nil, values)
			line += string(text)
		case f.kind == textField:
			line += "<" + c.files[c.fields[i]]
		default:
			line += "@" + c.files[c.fields[i]]
		}
		if head.Type != "" && head.Type != form.UnknownType {
			line += ";type=" + head.Type
		}
		if f.filename != nil {
			line += ";filename=" + head.Filename
		}
		lines = append(lines, line)
	}
	return lines
}
