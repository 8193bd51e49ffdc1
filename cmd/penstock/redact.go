package main

import (
	"strings"

	"github.com/penstock/penstock/internal/secret"
)

// shownValue hides what may be secret in the value of a flag, or in a path if the flag has no name:
// values of headers, and in URLs the user, the password and the values of the query. What is hidden is
// ***, and stays so.
func shownValue(flag, value string) string {
	switch {
	case flag == "header":
		return secret.HeaderLine(value)
	case flag == "to" && isLab(value) && !strings.Contains(value, "://"):
		return value // its parameters are no secret
	case flag == "to":
		return secret.Template(value)
	case flag == "proxy":
		return secret.URL(value)
	}
	return secret.Argument(value)
}
