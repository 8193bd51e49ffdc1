package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const space = " \t\r\n" // to JSON

var (
	errNoObject = errors.New(`no JSON object such as {"path":"a.csv"}`)
	errNoUTF8   = errors.New("not valid UTF-8")
	errUTF16    = errors.New("the file is UTF-16: save it as UTF-8")
)

// object returns the fields of a JSON object, each as its name and its value as it is written. Both
// are valid as long as text is.
//
// It is some lines instead of a map[string]json.RawMessage because that takes five times as long,
// and of two fields with one name keeps the last without a word.
func object(text []byte) (iter.Seq2[[]byte, []byte], error) {
	// encoding/json would replace what is not UTF-8, and so name another file.
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")):
		return nil, errUTF16
	case !utf8.Valid(text):
		return nil, errNoUTF8
	case !json.Valid(text): // which bounds the depth, too
		var v json.RawMessage
		return nil, &syntaxError{json.Unmarshal(text, &v)}
	}
	text = bytes.TrimLeft(text, space)
	if text[0] != '{' {
		return nil, errNoObject
	}
	return func(yield func(name, value []byte) bool) {
		rest := text[1:]
		for {
			rest = bytes.TrimLeft(rest, ","+space)
			if rest[0] == '}' {
				return
			}
			n := valueLen(rest)
			name := rest[:n]
			rest = bytes.TrimLeft(rest[n:], ":"+space)
			n = valueLen(rest)
			if !yield(unquote(name), rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}, nil
}

// A syntaxError says why a line is no JSON.
type syntaxError struct{ err error }

func (e *syntaxError) Error() string { return "no JSON, one object a line: " + e.err.Error() }
func (e *syntaxError) Unwrap() error { return e.err }

// valueLen returns the length of the value that valid JSON begins with.
func valueLen(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// unquote returns what a valid JSON string says.
func unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var v string
	_ = json.Unmarshal(raw, &v)
	return []byte(v)
}

// scalar returns a string's value, or a number as it is written.
func scalar(raw []byte) ([]byte, error) {
	switch c := raw[0]; {
	case c == '-' || '0' <= c && c <= '9':
		return raw, nil
	case c != '"':
		return nil, errors.New("neither a string nor a number")
	}
	v := unquote(raw)
	if bytes.ContainsRune(v, utf8.RuneError) && halfPair(raw) {
		return nil, errors.New(`has a \u escape that is no character`)
	}
	return v, nil
}

// halfPair reports whether a JSON string has an escape of half a surrogate pair. That is Python's
// way of writing names that are not UTF-8, and what encoding/json replaces.
func halfPair(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if raw[i] != 'u' {
			continue
		}
		unit := func(i int) rune {
			if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
				return 0
			}
			n, _ := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
			return rune(n)
		}
		if utf16.IsSurrogate(unit(i - 1)) {
			if utf16.DecodeRune(unit(i-1), unit(i+5)) == utf8.RuneError {
				return true
			}
			i += 6
		}
		i += 4
	}
	return false
}
