package retry

import (
	"io"
	"net/http"
	"sync"

	"github.com/penstock/penstock/internal/drain"
)

// drainOnClose has the response's Close drain the body. net/http gives up an HTTP/1 connection whose
// answer was not read to its end, and most programs look at nothing but the status of an upload.
func drainOnClose(resp *http.Response) {
	if _, upgraded := resp.Body.(io.Writer); upgraded || resp.Body == http.NoBody || resp.ProtoMajor > 1 { // HTTP/2 ends the stream only
		return
	}
	resp.Body = &reply{ReadCloser: resp.Body, left: resp.ContentLength}
}

// reply is the body of a response that is returned to the caller.
type reply struct {
	io.ReadCloser
	mu    sync.Mutex // held while the body is read
	left  int64      // bytes to come; if that is not known, less than zero by the bytes that came
	ended bool       // there is nothing left to drain
}

func (r *reply) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.ReadCloser.Read(p)
	r.left -= int64(n)
	r.ended = r.ended || err != nil
	return n, err
}

// Close drains the body if little of it is left. One of unknown length of which much was read is not short. A Close that
// is to end a Read under way does so at once.
func (r *reply) Close() error {
	if !r.mu.TryLock() {
		return r.ReadCloser.Close()
	}
	defer r.mu.Unlock()
	if r.ended || r.left > drain.MaxBytes || r.left < -drain.MaxBytes {
		return r.ReadCloser.Close()
	}
	r.ended = true
	return drain.Close(r.ReadCloser)
}

// release frees what the attempt's context holds.
func (a *attempt) release() {
	if a.refuse != nil {
		a.refuse(nil)
	}
}

// releasedBy returns body as one that releases the attempt when it is closed.
func (a *attempt) releasedBy(body io.ReadCloser) io.ReadCloser {
	if a.refuse == nil {
		return body
	}
	if body == http.NoBody {
		a.release()
		return body
	}
	if rw, ok := body.(io.ReadWriteCloser); ok { // of an upgraded connection, which is written to as well
		return &releasingConn{rw, a}
	}
	return &releasing{body, a}
}

type releasing struct {
	io.ReadCloser
	attempt *attempt
}

func (r *releasing) Close() error {
	defer r.attempt.release()
	return r.ReadCloser.Close()
}

type releasingConn struct {
	io.ReadWriteCloser
	attempt *attempt
}

func (r *releasingConn) Close() error {
	defer r.attempt.release()
	return r.ReadWriteCloser.Close()
}
