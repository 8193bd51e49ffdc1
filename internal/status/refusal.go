package status

import (
	"fmt"
	"net/http"

	"github.com/penstock/penstock/internal/human"
)

// ProxyCredentials says what to do if a proxy wants a password.
const ProxyCredentials = "check the user name and password" + inProxy

// Line writes a status as a status line has it.
func Line(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%d %s", status, text)
	}
	return fmt.Sprint(status)
}

// Advice says what a user can do about a refusal.
func Advice(status int) string {
	const again = ", then run the same command again"
	switch {
	case status == http.StatusUnauthorized:
		return "check the credentials; give a new token if the old one has expired" + again
	case status == http.StatusPaymentRequired:
		return "the account has no credit left, or its plan is used up: renew it" + again
	case status == http.StatusForbidden:
		return "check what the account is allowed to do, and the URL" + again
	case status == http.StatusProxyAuthRequired:
		return ProxyCredentials + again
	case status == http.StatusInsufficientStorage:
		return "the server's storage is full: ask for space to be freed" + again
	case status == http.StatusNotFound, status == http.StatusGone:
		return "check the URL"
	case status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return "check the method and the URL"
	case status == http.StatusRequestEntityTooLarge:
		return "the files are larger than the server accepts"
	case status == http.StatusUnsupportedMediaType:
		return "check the content type"
	case status <= 399:
		return "check the URL, and send to where the redirect leads"
	}
	return "check the URL, the method and what is sent"
}

// Refused returns what to do about refusals that are not about a file, however few there were, by
// how many files were refused by each status. Those by which a server was given up are told
// already, and a proxy's refusal is named by each item.
func Refused(files map[int]int, gaveUp func(code int) bool) (notes []string) {
	for _, code := range []int{
		http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden,
		http.StatusInsufficientStorage,
	} {
		if n := files[code]; n > 0 && !gaveUp(code) {
			notes = append(notes, fmt.Sprintf("%s: %s: %s", human.Plural(n, "file"), Line(code),
				Advice(code)))
		}
	}
	return notes
}
