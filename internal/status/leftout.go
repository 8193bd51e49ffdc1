package status

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/source"
)

const hiddenSent, linksSent = "--hidden sends hidden files", "--follow follows links"

// leftOut are the words for a number of paths left out, for one path, and which flag sends them.
var leftOut = []struct {
	why                     source.Reason
	what, plural, one, flag string
}{
	{source.Excluded, "excluded", "", "excluded", ""},
	{source.Hidden, "hidden", "", "hidden", hiddenSent},
	{source.Leftover, "editor leftover", "s", "an editor's leftover", hiddenSent},
	{source.Links, "link", "s", "a link", linksSent},
	{source.Loops, "link loop", "s", "a link to a directory that it lies in", ""},
	{source.Special, "special file", "s", "not a regular file", ""},
	{source.Read, "of this run", "", "this run reads it", ""},
	{source.Written, "of this run", "", "this run writes it", ""},
	{source.Young, "younger than --min-age", "", "younger than --min-age", ""},
}

// WhyLeftOut says why a path is left out.
func WhyLeftOut(why source.Reason) string {
	for _, words := range leftOut {
		if words.why == why {
			return words.one
		}
	}
	return ""
}

// LeftOut says how much was left out, which flags send it, and which one names it; it is empty if
// nothing was.
func LeftOut(left source.LeftOut) string {
	left[source.Written], left[source.Read] = left[source.Written]+left[source.Read], 0
	var counts, advice []string
	for _, words := range leftOut {
		n := left[words.why]
		if n == 0 {
			continue
		}
		if n > 1 {
			words.what += words.plural
		}
		counts = append(counts, fmt.Sprintf("%d %s", n, words.what))
		if words.flag != "" && !slices.Contains(advice, words.flag) {
			advice = append(advice, words.flag)
		}
	}
	if counts == nil {
		return ""
	}
	advice = append(advice, "-v names them")
	return fmt.Sprintf("left out: %s (%s)",
		strings.Join(counts, ", "), strings.Join(advice, "; "))
}
