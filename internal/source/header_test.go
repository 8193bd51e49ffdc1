package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/test"
)

// FuzzCheckHeader sends what is taken: net/http takes it too, and it arrives as one header, as it
// was given.
func FuzzCheckHeader(f *testing.F) {
	for _, c := range [][2]string{
		{"X-Key", "sesame"}, {"x-key", " padded\t"}, {"", ""}, {"X Key", "a"}, {"X-Key:", "a"},
		{"X-Key", "a\nHost: b"}, {"X-Key", "a\rb"},
		{"X-Key", "a\x00b"}, {"X-Key", "a\x7f"}, {"X-Käy", "a"}, {"X-Key", "über"},
		{"X-Key", "caf\xe9"}, {"host", "a"}, {"CONTENT-LENGTH", "1"},
		{"Transfer-Encoding", "chunked"}, {"connection", "close"}, {"te", "trailers"},
		{"Expect", "100-continue"}, {"user-agent", ""}, {"Cookie", "a=b"},
		{"accept-encoding", "gzip"}, {"Proxy-Authorization", "Basic YTpi"}, {":authority", "a"},
		{"http2-settings", "a"}, {"!#$%&'*+-.^_`|~", "a"},
	} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		err := CheckHeader(name, value)
		if err != nil {
			// The same whatever the value is, and the name, unless it is one that we know.
			other := CheckHeader(name, "\n")
			if other == nil || err.Error() != other.Error() &&
				!strings.Contains(other.Error(), "control character") {
				t.Errorf("%q: %q: %v", name, value, err)
			}
			if strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 80 {
				t.Errorf("%q: %q: %q", name, value, err)
			}
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req, err := http.NewRequestWithContext(ctx, "PUT", "http://h.example/a",
			strings.NewReader("body"))
		test.OK(t, err)
		req.Header.Set(name, value)
		if _, err := new(http.Transport).RoundTrip(req); !errors.Is(err, context.Canceled) {
			t.Fatalf("net/http refuses %q: %q: %v", name, value, err)
		}
		var sent bytes.Buffer
		test.OK(t, req.Write(&sent))
		got, err := http.ReadRequest(bufio.NewReader(&sent))
		if err != nil {
			t.Fatalf("%q: %q cannot be read: %v", name, value, err)
		}
		want := strings.Trim(value, " \t")
		if values := got.Header.Values(name); len(values) != 1 || values[0] != want {
			if http.CanonicalHeaderKey(name) == "User-Agent" && want == "" && len(values) == 0 {
				return // net/http leaves it out, as it says
			}
			t.Errorf("%q: %q arrives as %q", name, value, values)
		}
		// Its own header beside User-Agent and Content-Length, and nothing else.
		if got.Host != "h.example" || got.ContentLength != 4 || len(got.TransferEncoding) > 0 ||
			got.Close || len(got.Header) > 3 {
			t.Errorf("%q: %q changes the request: %+v", name, value, got)
		}
	})
}
