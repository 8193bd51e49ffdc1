package retry

import (
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/penstock/penstock/internal/drain"
)

// releaseOnClose has the response's Close free what the attempt's context holds, and drain the
// body. net/http gives up an HTTP/1 connection whose answer was not read to its end, and most
// programs look at nothing but the status of an upload.
func (a *attempt) releaseOnClose(resp *http.Response) {
	if resp.Body == http.NoBody {
		a.release()
		return
	}
	stream, isUpgraded := resp.Body.(io.ReadWriteCloser)
	switch {
	// there is nothing to free or to drain
	case a.refuse == nil && (isUpgraded || resp.ProtoMajor > 1):
	case isUpgraded:
		resp.Body = &upgraded{ReadWriteCloser: stream, attempt: a}
	default:
		// HTTP/2 ends the stream only
		resp.Body = &reply{ReadCloser: resp.Body, attempt: a, left: resp.ContentLength, ended: resp.ProtoMajor > 1}
	}
}

// upgraded is the body of a 101: the connection itself.
type upgraded struct {
	io.ReadWriteCloser
	attempt *attempt
}

func (u *upgraded) Close() error {
	defer u.attempt.release()
	return u.ReadWriteCloser.Close()
}

// CloseWrite is there because net/http's own body has it.
func (u *upgraded) CloseWrite() error {
	if half, ok := u.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("CloseWrite: %w", http.ErrNotSupported)
}

// reply is the body of a response that is returned to the caller.
type reply struct {
	io.ReadCloser
	attempt *attempt
	mu      sync.Mutex // held while the body is read
	left    int64      // bytes to come; if that is not known, less than zero by the bytes that came
	ended   bool       // there is nothing left to drain
}

func (r *reply) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.ReadCloser.Read(p)
	r.left -= int64(n)
	r.ended = r.ended || err != nil
	return n, err
}

// Close drains the body if little of it is left. One of unknown length of which much was read is
// not short. A Close that is to end a Read under way does so at once.
func (r *reply) Close() error {
	defer r.attempt.release()
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
