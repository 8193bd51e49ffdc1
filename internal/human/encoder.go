package human

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// NewEncoder returns an encoder whose output does no harm to a terminal: control and format
// characters, bidirectional overrides among them, are written as \u escapes. It leaves "&" and "<"
// as they are, since URLs are for people too.
func NewEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(escaper{w})
	enc.SetEscapeHTML(false)
	return enc
}

// An escaper escapes what encoding/json leaves as it is. In JSON such characters stand nowhere but
// in strings.
type escaper struct{ w io.Writer }

func (e escaper) Write(p []byte) (int, error) {
	if _, err := e.w.Write(escape(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func escape(p []byte) []byte {
	var out []byte // nil while nothing was escaped
	last := 0
	for i := 0; i < len(p); {
		if p[i] < unicode.MaxASCII { // those that need an escape have one
			i++
			continue
		}
		r, n := utf8.DecodeRune(p[i:])
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			out = append(out, p[last:i]...)
			if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
				out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
			last = i + n
		}
		i += n
	}
	if last == 0 {
		return p
	}
	return append(out, p[last:]...)
}
