package main

import (
	"regexp"
	"strings"

	"github.com/penstock/penstock/internal/report"
)

const hidden = "***"

// shownValue hides what may be secret in the value of a flag, or in a path if the flag has no name:
// values of headers, and in URLs the user, the password and the values of the query. What is hidden is
// ***, and stays so.
func shownValue(flag, value string) string {
	switch {
	case flag == "header":
		return shownHeader(value)
	case flag == "to" && !(isLab(value) && !strings.Contains(value, "://")): // parameters are no secret
		return shownTemplate(value)
	case flag == "proxy":
		return nested(report.Redact(value))
	case flag == "to":
		return value
	}
	return shownURL(value)
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func shownHeader(line string) string {
	if name, _, ok := strings.Cut(line, ":"); ok && headerName.MatchString(strings.TrimSpace(name)) {
		return name + ": " + hidden
	}
	return hidden
}

var scheme = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://|^https?:`)

// shownURL redacts from the first URL in the text on. A URL may stand in the
// path of another, where Redact takes it for a path.
func shownURL(s string) string {
	at := scheme.FindStringIndex(s)
	if at == nil {
		if strings.Contains(s, "://") {
			return hidden
		}
		return s
	}
	return s[:at[0]] + nested(report.Redact(s[at[0]:]))
}

func nested(shown string) string {
	at := scheme.FindStringIndex(shown)
	if at == nil || at[0] != 0 || !strings.Contains(shown[at[1]:], "://") {
		return shown
	}
	return shown[:at[1]] + shownURL(shown[at[1]:])
}

var variable = regexp.MustCompile(`\{[A-Za-z0-9_.-]+\}`)

// shownTemplate redacts a URL, but for variables in its query: those hold no secret.
func shownTemplate(s string) string {
	shown := report.Redact(s)
	head, _, ok := strings.Cut(shown, "?")
	if !ok {
		return nested(shown)
	}
	raw, _, _ := strings.Cut(s, "#")
	_, query, _ := strings.Cut(raw, "?")
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		// Without a value, the key may itself be a secret.
		if key, value, _ := strings.Cut(pair, "="); strings.Trim(value, "=") != "" {
			pairs[i] = key + "=" + shownQueryValue(value)
		} else {
			pairs[i] = shownQueryValue(pair)
		}
	}
	return nested(head) + "?" + strings.Join(pairs, "&")
}

func shownQueryValue(s string) string {
	var b strings.Builder
	mask := func(text string) {
		if text != "" {
			b.WriteString(hidden)
		}
	}
	last := 0
	for _, at := range variable.FindAllStringIndex(s, -1) {
		mask(s[last:at[0]])
		b.WriteString(s[at[0]:at[1]])
		last = at[1]
	}
	mask(s[last:])
	return b.String()
}
