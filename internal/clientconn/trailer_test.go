package clientconn

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// A trailer has its values when the body was read to its end, in each attempt a map of its own.
func TestTrailer(t *testing.T) {
	in := &http.Request{Trailer: http.Header{"Digest": nil}}
	trailer := TrailerOf(in)
	for _, size := range []int64{0, 3} {
		req := &http.Request{ContentLength: size, Body: http.NoBody}
		if got := trailer.Add(req); got != req {
			t.Errorf("a body of %d bytes: %+v", size, got)
		}
	}
	req := func() *http.Request {
		return &http.Request{ContentLength: -1, Body: io.NopCloser(strings.NewReader("abc"))}
	}
	if r := req(); TrailerOf(r).Add(r) != r {
		t.Error("a request without a trailer was changed")
	}
	one, two := trailer.Add(req()), trailer.Add(req())
	in.Trailer.Set("Digest", "x")
	in.Trailer.Set("Other", "y") // was not announced
	if _, err := io.Copy(io.Discard, one.Body); err != nil {
		t.Fatal(err)
	}
	if one.Trailer.Get("Digest") != "x" || len(one.Trailer) != 1 ||
		!maps.EqualFunc(two.Trailer, http.Header{"Digest": nil},
			func(a, b []string) bool { return a == nil && b == nil }) {

		t.Errorf("%v, %v", one.Trailer, two.Trailer)
	}
}
