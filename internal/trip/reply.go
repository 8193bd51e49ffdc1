package trip

import (
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/penstock/penstock/internal/drain"
)

// ReleaseOnClose has the response's Close free what the trip's context holds, and drain the body.
// net/http gives up an HTTP/1 connection whose answer was not read to its end, and most programs
// look at nothing but the status of an upload.
func (t *Trip) ReleaseOnClose(resp *http.Response) {
	if resp.Body == http.NoBody {
		t.Release()
		return
	}
	stream, isUpgraded := resp.Body.(io.ReadWriteCloser)
	switch {
	// there is nothing to free or to drain
	case t.refuse == nil && (isUpgraded || resp.ProtoMajor > 1):
	case isUpgraded:
		resp.Body = &upgraded{ReadWriteCloser: stream, trip: t}
	default:
		// HTTP/2 ends the stream only
		resp.Body = &reply{ReadCloser: resp.Body, trip: t, left: resp.ContentLength,
			ended: resp.ProtoMajor > 1}
	}
}

// upgraded is the body of a 101: the connection itself.
type upgraded struct {
	io.ReadWriteCloser
	trip *Trip
}

func (u *upgraded) Close() error {
	defer u.trip.Release()
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
	trip  *Trip
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

// Close drains the body if little of it is left. One of unknown length of which much was read is
// not short. A Close that is to end a Read under way does so at once.
func (r *reply) Close() error {
	defer r.trip.Release()
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

// Release frees what the trip's context holds.
func (t *Trip) Release() {
	if t.refuse != nil {
		t.refuse(nil)
	}
}
