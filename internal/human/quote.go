package human

import (
	"strconv"
	"strings"
)

// Quote quotes a text of unknown length for a message of one line. Of a long one it leaves out the
// middle.
func Quote(s string) string {
	const most, part = 400, 150
	if len(s) > most {
		s = strings.ToValidUTF8(s[:part], "") + "…" + strings.ToValidUTF8(s[len(s)-part:], "")
	}
	return strconv.Quote(s)
}
