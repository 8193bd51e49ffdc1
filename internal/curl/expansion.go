package curl

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

var errSubstitution = errors.New("a $(, ${ or ` has no end")

// dollar reads what begins with a $.
func (l *lexer) dollar(b *strings.Builder, quoted bool) error {
	rest := l.s[l.i+1:]
	if rest == "" {
		b.WriteByte('$')
		l.i++
		return nil
	}
	n := 0
	switch c := rest[0]; {
	case c == '\'' && !quoted:
		return l.escaped(b)
	case c == '"' && !quoted:
		l.i++
		return l.doubleQuoted(b)
	case c == '(':
		n = closing(rest, ')')
	case c == '{':
		n = closing(rest, '}')
	case nameByte(c, true):
		for n < len(rest) && nameByte(rest[n], n == 0) {
			n++
		}
	case strings.IndexByte("0123456789@*#?$!", c) >= 0:
		n = 1
	default:
		b.WriteByte('$')
		l.i++
		return nil
	}
	if n < 0 {
		return errSubstitution
	}
	b.WriteString(Mark + l.s[l.i:l.i+1+n] + Mark)
	l.i += 1 + n
	return nil
}

func nameByte(c byte, first bool) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' ||
		!first && c >= '0' && c <= '9'
}

// closing returns the length of what begins with an opening bracket, up to the end that belongs to
// it; -1 if there is none.
func closing(s string, end byte) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case s[0]:
			depth++
		case end:
			if depth--; depth == 0 {
				return i + 1
			}
		case '\\':
			i++
		case '\'', '"':
			n := strings.IndexByte(s[i+1:], c)
			if n < 0 {
				return -1
			}
			i += n + 1
		}
	}
	return -1
}

func (l *lexer) backquoted(b *strings.Builder) error {
	for i := l.i + 1; i < len(l.s); i++ {
		switch l.s[i] {
		case '\\':
			i++
		case '`':
			b.WriteString(Mark + l.s[l.i:i+1] + Mark)
			l.i = i + 1
			return nil
		}
	}
	return errSubstitution
}

// simple are the escapes of $'…' that stand for one character.
var simple = map[byte]byte{'a': 7, 'b': 8, 'e': 27, 'E': 27, 'f': 12, 'n': 10, 'r': 13, 't': 9,
	'v': 11, '\\': '\\', '\'': '\'', '"': '"', '?': '?'}

// escaped reads $'…'.
func (l *lexer) escaped(b *strings.Builder) error {
	at := l.i + 1
	for l.i += 2; l.i < len(l.s); {
		c := l.s[l.i]
		l.i++
		switch {
		case c == '\'':
			return nil
		case c != '\\' || l.i == len(l.s):
			b.WriteByte(c)
			continue
		}
		c = l.s[l.i]
		l.i++
		number := func(base, most int) (uint64, bool) {
			for n := min(most, len(l.s)-l.i); n > 0; n-- {
				if v, err := strconv.ParseUint(l.s[l.i:l.i+n], base, 32); err == nil &&
					l.s[l.i] != '+' && l.s[l.i] != '-' {
					l.i += n
					return v, true
				}
			}
			return 0, false
		}
		v, ok := uint64(0), false
		switch {
		case simple[c] != 0:
			b.WriteByte(simple[c])
			continue
		case c >= '0' && c <= '7':
			l.i--
			if v, ok = number(8, 3); ok {
				v &= 0xff
			}
		case c == 'x':
			v, ok = number(16, 2)
		case c == 'u', c == 'U':
			if v, ok = number(16, map[byte]int{'u': 4, 'U': 8}[c]); ok && v != 0 {
				b.Write(utf8.AppendRune(nil, rune(v)))
				continue
			}
		case c == 'c' && l.i < len(l.s):
			v, ok = uint64(l.s[l.i]&0x1f), true
			l.i++
		}
		switch {
		case !ok:
			b.WriteByte('\\')
			b.WriteByte(c)
		case v == 0:
			return errNUL
		default:
			b.WriteByte(byte(v))
		}
	}
	return l.unclosed(at)
}
