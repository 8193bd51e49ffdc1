package clientconn

import (
	"io"
	"maps"
	"net/http"
	"slices"
)

// A Trailer is that of a client's request. ReverseProxy does not pass it on.
type Trailer struct {
	names []string    // that the client has announced
	from  http.Header // has the values when the body was read to its end, and is not read before
}

// TrailerOf returns the trailer of a request of which nothing was read, nil if it has none.
func TrailerOf(req *http.Request) *Trailer {
	if len(req.Trailer) == 0 {
		return nil
	}
	return &Trailer{slices.Collect(maps.Keys(req.Trailer)), req.Trailer}
}

// Add returns the request that leaves in place of req: with its client's trailer, as a map of its
// own, since an attempt may still read its body when the next one begins. If t is nil, or the body
// does not come in chunks, that is req.
func (t *Trailer) Add(req *http.Request) *http.Request {
	if t == nil || req.Body == nil || req.ContentLength >= 0 {
		return req
	}
	out := req.WithContext(req.Context())
	out.Trailer = make(http.Header)
	for _, name := range t.names {
		out.Trailer[name] = nil
	}
	out.Body = &trailed{req.Body, t, out.Trailer}
	out.GetBody = nil // net/http would send that without the trailer
	return out
}

// trailed is a body that has a trailer at its end.
type trailed struct {
	io.ReadCloser
	of *Trailer
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
