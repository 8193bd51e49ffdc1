package blame

import (
	"strings"
	"testing"
)

// What counts as a failure of the request, step by step.
func TestWeigh(t *testing.T) {
	twenty := strings.Repeat("a", 20)
	for _, c := range []struct {
		name  string
		steps string
		want  string // of each refusal of the request, whether it counts
	}{
		{"nobody is accepted", "r r r r", "----"},
		{"others are, each time", "r a r a r a r", "-+++"},
		{"not in between", "r a r r a r", "-+-+"},
		{"what began before", "r o r o r", "---"},
		{"those that were refused before", "r e r ae r aaaaaaaaae r aaaaaaaaaa r", "---++"},
		{"refused in another way", "r a R a R a r", "--+-"},
		{"not sent", "0 a 0 a 0", "---"},
		{"twice to blame, and nobody is left", "r a r a r r r", "-++++"},
		{"twenty others, and nobody is left", "r " + twenty + " r r r", "-+++"},
		{"in pieces", "r oooooooooo r oooooooooaa r r", "--++"},
		{"nineteen are too few", "r " + twenty[1:] + " r r r", "-+--"},
		{"one of these was refused", "r e" + twenty + " r r r", "-+--"},
		{"an outage follows", "r a r a r i r i r a r", "-++--+"},
		{"in which it is refused first", "r a r a r r i r i r", "-+++--"},
	} {
		var k Kind
		var b Call
		var got strings.Builder
		for _, step := range strings.ReplaceAll(c.steps, " ", "") {
			status := 0
			switch step {
			case 'a': // another is accepted
				k.Accept(k.Now(), new(Call))
			case 'o': // that began before the last refusal
				k.Accept(k.Now()-1, new(Call))
			case 'e': // that was refused before
				k.Accept(k.Now(), &Call{refusals: 1})
			case 'i': // another is refused
				k.Refuse(new(Call), 503)
			case 'r':
				status = 503
				fallthrough
			case 'R':
				status = max(status, 429)
				fallthrough
			case '0':
				if k.Refuse(&b, status) {
					got.WriteByte('+')
				} else {
					got.WriteByte('-')
				}
			}
		}
		if got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, &got, c.want)
		}
	}
}
