package send

import (
	"net/http"
	"strings"

	"github.com/penstock/penstock/internal/report"
)

// secrets are texts that must not appear in any output: a server may send them
// back in what it says of a refusal.
type secrets []string

// newSecrets takes the values of headers. Those of a few characters are no
// secrets, and hiding them would hide much else.
func newSecrets(h http.Header) secrets {
	const shortest = 6
	var s secrets
	for _, values := range h {
		for _, v := range values {
			s = append(s, v)
			s = append(s, strings.Fields(v)...) // "Bearer x" is seldom sent back whole
		}
	}
	kept := s[:0]
	for _, v := range s {
		if len(v) >= shortest && v != "Bearer" {
			kept = append(kept, v)
		}
	}
	return kept
}

func (s secrets) redact(text string) string {
	for _, v := range s {
		text = strings.ReplaceAll(text, v, "***")
	}
	return report.RedactText(text)
}
