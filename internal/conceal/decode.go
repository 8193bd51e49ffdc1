package conceal

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A decoded text has its escapes undone.
type decoded struct {
	text string
	from []int // where each byte comes from, and the end; if nil, from where it stands
}

func (v decoded) start(i int) int {
	if v.from == nil {
		return i
	}
	return v.from[i]
}

// A decoder undoes the escape that a text begins with: it returns what that stands for and how long
// it is, 0 where there is none.
type decoder struct {
	begins byte
	decode func(s string) (plain string, n int)
}

var decoders = []decoder{{'%', percentByte}, {'\\', backslashed}, {'&', entity}}

// decodings returns the text as it is, with one kind of escape undone, and with two, one after the
// other.
func decodings(text string) []decoded {
	all := []decoded{{text: text}}
	done := 0
	for range 2 {
		for _, v := range all[done:] {
			done++
			for _, d := range decoders {
				if next, ok := d.undo(v); ok {
					all = append(all, next)
				}
			}
		}
	}
	return all
}

// undo undoes the escapes of one kind, and reports whether there are any.
func (d decoder) undo(v decoded) (_ decoded, some bool) {
	if strings.IndexByte(v.text, d.begins) < 0 {
		return v, false
	}
	var out []byte
	var from []int
	for i := 0; i < len(v.text); {
		plain, n := v.text[i:i+1], 1
		if v.text[i] == d.begins {
			if p, length := d.decode(v.text[i:]); length > 0 {
				plain, n, some = p, length, true
			}
		}
		out = append(out, plain...)
		for range len(plain) {
			from = append(from, v.start(i))
		}
		i += n
	}
	return decoded{string(out), append(from, v.start(len(v.text)))}, some
}

func percentByte(s string) (string, int) {
	if c, ok := number(s, 1, 2); ok {
		return string([]byte{byte(c)}), 3
	}
	return "", 0
}

// backslashed knows the escapes of JSON, Go, JavaScript and Python.
func backslashed(s string) (string, int) {
	if len(s) < 2 {
		return "", 0
	}
	switch c := s[1]; c {
	case 'u':
		c, ok := number(s, 2, 4)
		if !ok {
			return "", 0
		}
		if utf16.IsSurrogate(rune(c)) && strings.HasPrefix(s[6:], `\u`) {
			if low, ok := number(s, 8, 4); ok {
				if r := utf16.DecodeRune(rune(c), rune(low)); r != utf8.RuneError {
					return string(r), 12
				}
			}
		}
		if 0xdc80 <= c && c <= 0xdcff { // what Python makes of a byte that is not UTF-8
			return string([]byte{byte(c)}), 6
		}
		return string(rune(c)), 6
	case 'U':
		if c, ok := number(s, 2, 8); ok {
			return string(rune(c)), 10
		}
		return "", 0
	case 'x':
		if c, ok := number(s, 2, 2); ok {
			return string([]byte{byte(c)}), 4
		}
		return "", 0
	case 'a', 'b', 'f', 'n', 'r', 't', 'v':
		return "\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", c):][:1], 2
	default:
		if c > ' ' && c < utf8.RuneSelf && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return s[1:2], 2
		}
		return "", 0
	}
}

var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

func entity(s string) (string, int) {
	end := strings.IndexByte(s[:min(len(s), 12)], ';')
	if end < 0 {
		return "", 0
	}
	name := strings.ToLower(s[1:end])
	if c, ok := entities[name]; ok {
		return c, end + 1
	}
	digits, base := strings.CutPrefix(name, "#x")
	if !base {
		digits, _ = strings.CutPrefix(name, "#")
		if digits == name {
			return "", 0
		}
	}
	c, err := strconv.ParseUint(digits, map[bool]int{true: 16, false: 10}[base], 32)
	if err != nil {
		return "", 0
	}
	return string(rune(c)), end + 1
}

// number reads so many hexadecimal digits.
func number(s string, at, digits int) (uint64, bool) {
	if len(s) < at+digits {
		return 0, false
	}
	n, err := strconv.ParseUint(s[at:at+digits], 16, 32)
	return n, err == nil
}
