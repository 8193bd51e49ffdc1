package cache

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An answer is a response from the store, with its body: one allocation.
type answer struct {
	http.Response
	content content
}

// A content is a body in memory.
type content struct{ bytes.Reader }

func (*content) Close() error { return nil }

// serve answers a request with a stored entry: with all of it, or with 304 or a part where the
// request asks for that.
func (t *Transport) serve(req *http.Request, e *entry, now time.Time, s standing) *http.Response {
	age := e.ageAt(now)
	s.ttl, s.left = true, e.lifetime-age
	a := &answer{}
	h := copied(e.header, strconv.FormatInt(int64(age/time.Second), 10), s.text(t.name))
	a.Response = http.Response{
		StatusCode: e.status, Proto: e.proto, ProtoMajor: e.major, ProtoMinor: e.minor,
		Header: h, ContentLength: int64(len(e.body)), Uncompressed: e.uncompressed, Request: req,
	}
	body := e.body
	switch {
	case notModified(req, e.status, h):
		a.StatusCode, a.ContentLength, body = http.StatusNotModified, 0, nil
		bare(h)
	case req.Method == http.MethodHead:
		body = nil
	case len(req.Header["Range"]) > 0 && e.status == http.StatusOK:
		body = a.cut(req, e)
	}
	a.Status = statusLine(a.StatusCode)
	a.content.Reset(body)
	a.Body = &a.content
	return &a.Response
}

func statusLine(code int) string {
	if code == http.StatusOK {
		return "200 OK"
	}
	return strconv.Itoa(code) + " " + http.StatusText(code)
}

// copied returns a copy of a stored header with an Age and one more Cache-Status. All values are in
// one slice, as in [http.Header.Clone].
func copied(h http.Header, age, standing string) http.Header {
	n := 2
	for _, values := range h {
		n += len(values)
	}
	all := make([]string, n)
	c := make(http.Header, len(h)+2)
	for name, values := range h {
		if name == "Cache-Status" {
			continue
		}
		n = copy(all, values)
		c[name], all = all[:n:n], all[n:]
	}
	all[0] = age
	c["Age"], all = all[:1:1], all[1:]
	n = copy(all, h["Cache-Status"])
	all[n] = standing
	c["Cache-Status"] = all[: n+1 : n+1]
	return c
}

// cut makes the answer one to a Range request, by the rules of [http.ServeContent], and returns its
// body.
func (a *answer) cut(req *http.Request, e *entry) []byte {
	w := &recorder{header: a.Header}
	if len(a.Header["Content-Type"]) == 0 {
		a.Header["Content-Type"] = nil // so that none is guessed
	}
	delete(a.Header, "Content-Length")
	modified, _ := http.ParseTime(e.modified)
	http.ServeContent(w, req, "", modified, bytes.NewReader(e.body))
	if len(a.Header["Content-Type"]) == 0 {
		delete(a.Header, "Content-Type")
	}
	body := w.body.Bytes()
	a.StatusCode, a.ContentLength = w.status, int64(len(body))
	a.Header["Content-Length"] = []string{strconv.Itoa(len(body))}
	return body
}

// A recorder is an http.ResponseWriter to memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *recorder) WriteHeader(status int)      { r.status = status }

// notModified reports whether a request's own condition makes of this response a 304 (RFC 9111,
// section 4.3.2).
func notModified(req *http.Request, status int, h http.Header) bool {
	if status != http.StatusOK {
		return false
	}
	if tags := req.Header["If-None-Match"]; len(tags) > 0 {
		own := strings.TrimPrefix(h.Get("Etag"), "W/")
		for _, line := range tags {
			for tag := range elements(line) {
				if tag == "*" || own != "" && strings.TrimPrefix(tag, "W/") == own {
					return true
				}
			}
		}
		return false
	}
	if since := req.Header["If-Modified-Since"]; len(since) > 0 {
		limit, err := http.ParseTime(since[0])
		modified, none := http.ParseTime(h.Get("Last-Modified"))
		return err == nil && none == nil && !modified.After(limit)
	}
	return false
}

// bare removes from the header of a 304 what is about a body (RFC 9110, section 15.4.5).
func bare(h http.Header) {
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Encoding",
		"Content-Language", "Content-Range"} {
		delete(h, name)
	}
}

// unchanged makes a 304 of a response whose body nobody needs.
func unchanged(req *http.Request, resp *http.Response) *http.Response {
	bare(resp.Header)
	resp.StatusCode, resp.Status = http.StatusNotModified, statusLine(http.StatusNotModified)
	resp.ContentLength, resp.TransferEncoding, resp.Trailer = 0, nil, nil
	resp.Body, resp.Request = http.NoBody, req
	return resp
}

// unavailable answers a request with only-if-cached that nothing stored answers.
func (t *Transport) unavailable(req *http.Request) *http.Response {
	const text = "nothing stored answers this request, and it has only-if-cached\n"
	resp := &http.Response{
		StatusCode: http.StatusGatewayTimeout, Status: statusLine(http.StatusGatewayTimeout),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{
			"Content-Type":   {"text/plain; charset=utf-8"},
			"Content-Length": {strconv.Itoa(len(text))},
			"Cache-Status":   {t.name + "; detail=only-if-cached"},
		},
		ContentLength: int64(len(text)), Body: http.NoBody,
	}
	if req.Method != http.MethodHead {
		resp.Body = io.NopCloser(strings.NewReader(text))
	}
	return resp
}
