package status

import (
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/upstream"
)

// LearnedOfMore says where to find what was learned of n further servers.
func LearnedOfMore(n int) string {
	return fmt.Sprintf("learned of %s: see learned_by_server in the report (--report)",
		human.Plural(n, "more server"))
}

// TooFast says which servers took much less than the rate that was given. Another rate, which would
// hold for all of them, is advised if there is only one.
func TooFast(slower []upstream.Slower, alone bool, given float64) (notes []string) {
	const most = 8 // lines of the summary
	others, asked := 0, human.RateNumber(given)
	for _, s := range slower {
		taken := human.RateNumber(s.Rate)
		switch {
		case alone:
			notes = append(notes, fmt.Sprintf("the server takes %s/s, not %s/s: give --rps %s",
				taken, asked, strings.ReplaceAll(taken, ",", "")))
		case len(notes) < most:
			notes = append(notes, fmt.Sprintf("%s takes %s/s, not %s/s", s.Key, taken, asked))
		default:
			others++
		}
	}
	if others > 0 {
		notes = append(notes, fmt.Sprintf("%s take less than %s/s",
			human.Plural(others, "more server"), asked))
	}
	return notes
}
