package throttle

import (
	"fmt"
	"slices"
)

// word returns the text of a value of an enumeration.
func word[E ~uint8](words []string, e E) string {
	if int(e) < len(words) {
		return words[e]
	}
	return fmt.Sprintf("%T(%d)", e, uint8(e))
}

// setWord is the inverse of word.
func setWord[E ~uint8](words []string, e *E, text []byte) error {
	at := slices.Index(words, string(text))
	if at < 0 {
		return fmt.Errorf("throttle: %q is none of %q", text, words)
	}
	*e = E(at)
	return nil
}
