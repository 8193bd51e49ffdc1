package human

import (
	"fmt"
	"io"
)

// List writes the first of n things, a line each, and how many more there are.
func List(w io.Writer, first []string, n int64) {
	for _, line := range first {
		fmt.Fprintf(w, "  %s\n", Printable(line))
	}
	if more := n - int64(len(first)); more > 0 {
		fmt.Fprintf(w, "  … and %s more\n", Count(more))
	}
}
