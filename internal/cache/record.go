package cache

import (
	"io"
	"net/http"
	"time"
)

// firstRoom is the room for a body whose length is not known, at first; it is doubled.
const firstRoom = 4 << 10

// record reads the body of a flight's answer into its tape, and stores the answer if it is whole. A
// body that turns out to be too long is left to the first request, from where it is.
func (t *Transport) record(f *flight, resp *http.Response) {
	body, want := resp.Body, resp.ContentLength
	limit := int(t.limit) - f.draft.size()
	var buf []byte
	if f.length {
		buf = make([]byte, 0, want)
	}
	for {
		var n int
		var err error
		if f.length && len(buf) == cap(buf) {
			var more [1]byte
			if n, err = body.Read(more[:]); n > 0 {
				err = io.ErrUnexpectedEOF // it is longer than it says
			}
		} else {
			if len(buf) == cap(buf) {
				// One byte more than may be stored, to see whether there is one.
				room := min(max(firstRoom, 2*cap(buf)), limit+1)
				if len(buf) > limit || !t.reserve(f, int64(room-cap(buf))) {
					t.giveUp(f, body, len(buf) > limit)
					return
				}
				buf = append(make([]byte, 0, room), buf...)
			}
			n, err = body.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
		}
		if err == io.EOF && f.length && int64(len(buf)) != want {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			f.tape.set(func() { f.tape.mu.buf = buf })
			continue
		}
		body.Close()
		if err == io.EOF && len(buf) <= limit {
			t.keep(f, buf)
		} else {
			t.close(f)
		}
		f.tape.set(func() {
			f.tape.mu.buf, f.tape.mu.end, f.tape.mu.trailer = buf, err, resp.Trailer
		})
		return
	}
}

// keep stores a flight's answer, which is whole.
func (t *Transport) keep(f *flight, body []byte) {
	if len(body) < cap(body) {
		body = append(make([]byte, 0, len(body)), body...)
	}
	f.whole = f.draft.with(body)
	t.mu.Lock()
	t.mu.reserved -= f.reserved // it counts as stored now
	f.reserved = 0
	if !f.void {
		t.store.put(f.key, f.out.Header, f.whole)
	}
	t.drop(f)
	t.mu.Unlock()
	f.open()
}

// close ends a flight whose answer is not stored.
func (t *Transport) close(f *flight) {
	t.mu.Lock()
	t.drop(f)
	t.mu.Unlock()
	f.open()
}

// giveUp leaves the rest of a body to the first request.
func (t *Transport) giveUp(f *flight, body io.ReadCloser, long bool) {
	if long {
		f.apart = true
		t.store.keepApart(f.key, time.Now())
	}
	t.mu.Lock()
	t.drop(f)
	gone := f.firstGone
	if !gone {
		f.body = body
	}
	t.mu.Unlock()
	f.open()
	if gone {
		body.Close()
	} else {
		f.tape.set(func() { f.tape.mu.rest = body })
	}
}

// open wakes the requests that wait for the whole body.
func (f *flight) open() {
	if !f.length {
		close(f.ready)
	}
}
