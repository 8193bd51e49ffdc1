package journal

import (
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/item"
)

// Fates are those that a journal's items have, in the order in which they are shown.
var Fates = []item.Fate{item.Delivered, item.Failed, item.Unknown, item.Deferred, item.InFlight}

// Counts are how many items have which fate.
type Counts map[item.Fate]int64

// String names those that there are, and how many are delivered.
func (c Counts) String() string {
	var words []string
	for _, fate := range Fates {
		if c[fate] > 0 || fate == item.Delivered {
			name := strings.ReplaceAll(fate.String(), "_", " ")
			words = append(words, fmt.Sprintf("%s %s", human.Count(c[fate]), name))
		}
	}
	return strings.Join(words, ", ")
}

// Total returns how many there are in all.
func (c Counts) Total() (n int64) {
	for _, count := range c {
		n += count
	}
	return n
}
