package status

import (
	"strings"

	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/rules"
)

// NotCaptured is a note that an item was delivered, and what its answer lacks.
func NotCaptured(missing []rules.Missing) string {
	var texts []string
	for _, m := range missing {
		texts = append(texts, m.Name+" "+m.Why)
	}
	return "not captured: " + strings.Join(texts, "; ")
}

// CaptureMissing warns that the answer to an item lacks something, the first time.
func CaptureMissing(path string, missing []rules.Missing) string {
	return path + ": delivered, but " + NotCaptured(missing) +
		"; further files like this are counted"
}

// AnswerLost is a note about an item that its server was asked about.
const AnswerLost = "nothing was captured, for its answer was lost"

// Uncaptured says in a summary of how many delivered items something was not captured.
func Uncaptured(n int64, results bool) []string {
	if n == 0 {
		return nil
	}
	where := "; --results FILE says of which, and why"
	if results {
		where = "; the notes in their results say what"
	}
	return []string{"--capture: something was not in the answer to " +
		human.Plural(n, "delivered file") + where}
}
