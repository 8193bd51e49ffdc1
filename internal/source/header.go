package source

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/penstock/penstock/internal/human"
)

// CheckHeader returns an error unless the field can be sent as given: the name a token, the value
// without control characters (RFC 9110, section 5), and not one of the fields of the connection,
// which net/http would leave out without a word. The error quotes neither.
func CheckHeader(name, value string) error {
	if !token(name) {
		return errors.New("not a valid header name")
	}
	switch name := http.CanonicalHeaderKey(name); name {
	case "Host", "Content-Length", "Transfer-Encoding":
		return fmt.Errorf("the header %s cannot be set: it follows from the URL and the file", name)
	case "Trailer", "Te", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Expect":
		return fmt.Errorf("the header %s cannot be set: "+
			"it is about the connection, not the file", name)
	}
	return checkHeaderValue(value)
}

func checkHeaderValue(v string) error {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return errors.New("a newline or another control character cannot be sent in a header")
		}
	}
	return nil
}

func checkMethod(m string) error {
	if !token(m) {
		return fmt.Errorf("%s is no HTTP method", human.Quote(m))
	}
	return nil
}

// token is RFC 9110, section 5.6.2.
func token(s string) bool {
	const of = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return s != "" && strings.Trim(s, of) == ""
}
