package retry

import (
	"io"
	"strings"
	"testing"
)

// A pooledBody has methods of its own, named like those of files.
type pooledBody struct {
	io.Reader
	t *testing.T
}

func (b *pooledBody) Close() error          { return nil }
func (b *pooledBody) Recycle()              { b.t.Error("Recycle was called") }
func (b *pooledBody) Verify() (error, bool) { b.t.Error("Verify was called"); return io.EOF, true }

// What a body of the caller's own can do beside io.ReadCloser is the caller's business.
func TestMethodsOfTheCallersBody(t *testing.T) {
	c, _ := over(play(try{status: 201}), exact)
	req := request(t, "PUT", "x")
	req.Body = &pooledBody{strings.NewReader("x"), t}
	check(t, "outcome", end(t, c, req).Outcome, Delivered)
}
