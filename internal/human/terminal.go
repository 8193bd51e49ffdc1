package human

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Width returns the width of the terminal w; 0 if w is not a terminal.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}
