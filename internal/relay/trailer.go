package relay

import (
	"io"
	"maps"
	"net/http"
	"slices"
)

// A trailer is that of a client's request. ReverseProxy does not pass it on.
type trailer struct {
	names []string    // that the client has announced
	from  http.Header // has the values when the body was read to its end, and is not read before
}

// trailerOf returns the trailer of a request of which nothing was read, nil if it has none.
func trailerOf(req *http.Request) *trailer {
	if len(req.Trailer) == 0 {
		return nil
	}
	return &trailer{slices.Collect(maps.Keys(req.Trailer)), req.Trailer}
}

// withTrailer returns the request that leaves in place of req: with its client's trailer, as a map
// of its own, since an attempt may still read its body when the next one begins.
func withTrailer(req *http.Request) (*http.Request, error) {
	c := callOf(req.Context())
	if c == nil || c.trailer == nil || req.Body == nil || req.ContentLength >= 0 {
		return req, nil
	}
	out := req.WithContext(req.Context())
	out.Trailer = make(http.Header)
	for _, name := range c.trailer.names {
		out.Trailer[name] = nil
	}
	out.Body = &trailed{req.Body, c.trailer, out.Trailer}
	out.GetBody = nil // net/http would send that without the trailer
	return out, nil
}

// trailed is a body that has a trailer at its end.
type trailed struct {
	io.ReadCloser
	of *trailer
	to http.Header
}

func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err == io.EOF {
		for _, name := range t.of.names {
			t.to[name] = t.of.from[name]
		}
	}
	return n, err
}
