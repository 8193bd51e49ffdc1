package curl

import (
	"errors"
	"fmt"
	"strings"
)

// A Part is one -F or --form-string.
type Part struct {
	Name string
	// Kind is '@' for a file, '<' for the text of a file, and 0 for a text.
	Kind  byte
	Value string // the text, or the file's name

	Type, Filename string
	HasFilename    bool
	Dropped        string // what penstock has nothing for, such as ;encoder=base64
}

// readPart reads the value of -F as curl does.
func readPart(s string) (p Part, err error) {
	name, content, found := strings.Cut(s, "=")
	if !found {
		return p, fmt.Errorf("-F %s: want NAME=VALUE", quoted(s))
	}
	p.Name = name
	if strings.HasPrefix(content, "(") {
		return p, errors.New("-F with =( nests parts, which is for mail")
	}
	ends := ";"
	if content != "" && (content[0] == '@' || content[0] == '<') {
		p.Kind, content, ends = content[0], content[1:], ";,"
	}
	rest := ""
	p.Value, rest = partWord(content, ends)
	if p.Kind == '@' && strings.HasPrefix(rest, ",") {
		return p, fmt.Errorf("-F %s: several files in one part, with commas: give each its own -F",
			quoted(s))
	}
	if p.Kind != 0 && p.Value == "" {
		return p, fmt.Errorf("-F %s has no file name", quoted(s))
	}
	for strings.HasPrefix(rest, ";") {
		rest = strings.TrimLeft(rest[1:], " \t")
		word := ""
		name, value, found := strings.Cut(rest, "=")
		switch {
		case found && name == "type":
			p.Type, rest = partType(value)
		case found && name == "filename":
			p.Filename, rest = partWord(value, ";")
			p.HasFilename = true
		default: // curl skips what it does not know
			word, rest = partWord(rest, ";")
			p.Dropped += ";" + word
		}
	}
	return p, nil
}

// partWord reads a word of a part, which may be quoted, up to one of the characters that end it.
func partWord(s, ends string) (word, rest string) {
	s = strings.TrimLeft(s, blanks)
	if strings.HasPrefix(s, `"`) {
		var b strings.Builder
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
				i++
				b.WriteByte(s[i])
			case s[i] == '"':
				after := strings.TrimLeft(s[i+1:], blanks)
				if after == "" || strings.IndexByte(ends, after[0]) >= 0 {
					return b.String(), after
				}
				return unquotedWord(s, ends) // the quotes are part of it
			default:
				b.WriteByte(s[i])
			}
		}
	}
	return unquotedWord(s, ends)
}

const blanks = " \t\n\v\f\r"

func unquotedWord(s, ends string) (word, rest string) {
	word, rest = plainWord(s, ends)
	return strings.TrimRight(word, blanks), rest
}

func plainWord(s, ends string) (word, rest string) {
	marked := false
	for i := 0; i < len(s); i++ {
		if s[i] == Mark[0] {
			marked = !marked
		}
		if !marked && strings.IndexByte(ends, s[i]) >= 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// partType reads a media type, which may have parameters.
func partType(s string) (kind, rest string) {
	kind, rest = plainWord(s, ";,")
	for strings.HasPrefix(rest, ";") {
		name, _, found := strings.Cut(strings.TrimLeft(rest[1:], " \t"), "=")
		switch name {
		case "filename", "type", "headers", "encoder":
			found = false
		}
		if !found {
			break
		}
		more, after := plainWord(rest[1:], ";,")
		kind, rest = kind+";"+more, after
	}
	return kind, rest
}
