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

const again = ", then run the same command again"

// refusals are what a user can do about a refusal, by its status.
var refusals = map[int]string{
	http.StatusUnauthorized: "check the credentials; " +
		"give a new token if the old one has expired" + again,
	http.StatusPaymentRequired: "the account has no credit left, " +
		"or its plan is used up: renew it" + again,
	http.StatusForbidden:         "check what the account is allowed to do, and the URL" + again,
	http.StatusProxyAuthRequired: ProxyCredentials + again,
	http.StatusInsufficientStorage: "the server's storage is full: " +
		"ask for space to be freed" + again,
	http.StatusNotFound:              "check the URL",
	http.StatusGone:                  "check the URL",
	http.StatusMethodNotAllowed:      "check the method and the URL",
	http.StatusNotImplemented:        "check the method and the URL",
	http.StatusRequestEntityTooLarge: "the files are larger than the server accepts",
	http.StatusUnsupportedMediaType:  "check the content type",
}

// Advice says what a user can do about a refusal.
func Advice(status int) string {
	if text := refusals[status]; text != "" {
		return text
	}
	if status <= 299 {
		return "check the rules (--accept, --reject), and what the answers say"
	}
	if status <= 399 {
		return "check the URL, and send to where the redirect leads"
	}
	return "check the URL, the method and what is sent"
}

// Refused returns what to do about refusals that are not about a file, however few there were, by
// how many files were refused by each status. Those by which a server was given up are reported
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
