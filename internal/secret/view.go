package secret

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A view is a text with its escapes undone.
type view struct {
	text string
	from []int // where each byte comes from, and the end; if nil, from where it stands
}

func (v view) start(i int) int {
	if v.from == nil {
		return i
	}
	return v.from[i]
}

// A decoder undoes the escape that a text begins with: it returns what that stands for and how long it is, 0 where there is none.
type decoder struct {
	begins byte
	decode func(s string) (plain []byte, n int)
}

var decoders = []decoder{{'%', percentByte}, {'\\', backslashed}, {'&', entity}}

// views returns the text as it is, with one kind of escape undone, and with two, one after the other.
func views(text string) []view {
	all := []view{{text: text}}
	done := 0
	for range 2 {
		for _, v := range all[done:] {
			done++
			for _, d := range decoders {
				if next, ok := d.view(v); ok {
					all = append(all, next)
				}
			}
		}
	}
	return all
}

// view undoes the escapes of one kind, and reports whether there are any.
func (d decoder) view(v view) (view, bool) {
	var out []byte
	var from []int
	last := 0
	for i := 0; ; {
		next := strings.IndexByte(v.text[i:], d.begins)
		if next < 0 {
			break
		}
		i += next
		plain, n := d.decode(v.text[i:])
		if n == 0 {
			i++
			continue
		}
		for ; last < i; last++ {
			out, from = append(out, v.text[last]), append(from, v.start(last))
		}
		for _, c := range plain {
			out, from = append(out, c), append(from, v.start(i))
		}
		i += n
		last = i
	}
	if out == nil {
		return view{}, false
	}
	for ; last < len(v.text); last++ {
		out, from = append(out, v.text[last]), append(from, v.start(last))
	}
	return view{string(out), append(from, v.start(len(v.text)))}, true
}

// percent undoes percent-encoding, as far as it is some.
func percent(s string) string {
	v, ok := decoders[0].view(view{text: s})
	if !ok {
		return s
	}
	return v.text
}

func percentByte(s string) ([]byte, int) {
	if c, ok := number(s, 1, 2, 16); ok {
		return []byte{byte(c)}, 3
	}
	return nil, 0
}

// backslashed knows the escapes of JSON, Go, JavaScript and Python.
func backslashed(s string) ([]byte, int) {
	if len(s) < 2 {
		return nil, 0
	}
	switch c := s[1]; c {
	case 'u':
		c, ok := number(s, 2, 4, 16)
		if !ok {
			return nil, 0
		}
		if utf16.IsSurrogate(rune(c)) && strings.HasPrefix(s[6:], `\u`) {
			if low, ok := number(s, 8, 4, 16); ok {
				if r := utf16.DecodeRune(rune(c), rune(low)); r != utf8.RuneError {
					return utf8.AppendRune(nil, r), 12
				}
			}
		}
		if 0xdc80 <= c && c <= 0xdcff { // what Python makes of a byte that is not UTF-8
			return []byte{byte(c)}, 6
		}
		return utf8.AppendRune(nil, rune(c)), 6
	case 'U':
		if c, ok := number(s, 2, 8, 16); ok {
			return utf8.AppendRune(nil, rune(c)), 10
		}
		return nil, 0
	case 'x':
		if c, ok := number(s, 2, 2, 16); ok {
			return []byte{byte(c)}, 4
		}
		return nil, 0
	case 'a', 'b', 'f', 'n', 'r', 't', 'v':
		return []byte{"\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", c)]}, 2
	default:
		if c > ' ' && c < utf8.RuneSelf && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return []byte{c}, 2
		}
		return nil, 0
	}
}

var entities = map[string]byte{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\''}

func entity(s string) ([]byte, int) {
	end := strings.IndexByte(s[:min(len(s), 12)], ';')
	if end < 0 {
		return nil, 0
	}
	name := strings.ToLower(s[1:end])
	if c, ok := entities[name]; ok {
		return []byte{c}, end + 1
	}
	digits, base := strings.CutPrefix(name, "#x")
	if !base {
		digits, _ = strings.CutPrefix(name, "#")
		if digits == name {
			return nil, 0
		}
	}
	c, err := strconv.ParseUint(digits, map[bool]int{true: 16, false: 10}[base], 32)
	if err != nil {
		return nil, 0
	}
	return utf8.AppendRune(nil, rune(c)), end + 1
}

// number reads so many digits.
func number(s string, at, digits, base int) (uint64, bool) {
	if len(s) < at+digits {
		return 0, false
	}
	n, err := strconv.ParseUint(s[at:at+digits], base, 32)
	return n, err == nil
}
