package nethttp

import (
	"cmp"
	"fmt"
	"net/http"
)

// Method returns a request's method; the empty one is GET.
func Method(req *http.Request) string { return cmp.Or(req.Method, http.MethodGet) }

// Idempotent reports whether a method is idempotent by RFC 9110, section 9.2.2. A method that is
// not defined there counts as not idempotent, the empty one as GET.
func Idempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete,
		http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// SharesURL reports whether requests of a method may go to one URL and each add something there, as
// with POST. Where it does not, the URL names what is sent.
func SharesURL(method string) bool {
	return method == http.MethodPost || method == http.MethodPatch
}

// CheckMethod returns an error for a method whose requests have no body, or none that means
// anything (RFC 9110, section 9.3).
func CheckMethod(method string) error {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodConnect, http.MethodTrace:
		return fmt.Errorf("%s carries no file: use PUT, POST or PATCH", method)
	}
	return nil
}
