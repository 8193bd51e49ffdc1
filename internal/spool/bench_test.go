package spool

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

type sink struct{}

func (sink) Write(p []byte) (int, error) { return len(p), nil }

// 351 bytes are in memory, 10 MiB in a file. "bare" is the same without being kept.
func BenchmarkBody(b *testing.B) {
	for _, c := range []struct {
		name string
		size int64
	}{{"351 B", 351}, {"10 MiB", 10 << 20}} {
		data, buffer := content(int(c.size)), make([]byte, 32<<10)
		run := func(name string, body func() (io.ReadCloser, func() error)) {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(c.size)
				for b.Loop() {
					r, done := body()
					if n, err := io.CopyBuffer(sink{}, r, buffer); n != c.size || err != nil {
						b.Fatal(n, err)
					}
					r.Close()
					done()
				}
			})
		}
		from := func() io.Reader { return struct{ io.Reader }{bytes.NewReader(data)} }
		run("bare", func() (io.ReadCloser, func() error) {
			return io.NopCloser(from()), func() error { return nil }
		})
		s := &Store{Dir: b.TempDir()}
		run("kept", func() (io.ReadCloser, func() error) {
			body, req := s.Keep(from(), c.size), new(http.Request)
			body.Set(req)
			return req.Body, body.Close
		})
		body := s.Keep(from(), c.size)
		io.CopyBuffer(sink{}, open(b, body), buffer)
		run("replayed", func() (io.ReadCloser, func() error) {
			return open(b, body), func() error { return nil }
		})
		body.Close()
	}
}
