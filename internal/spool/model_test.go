package spool

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/test"
)

// A modelBody is what a Body should be: all its content is there from the start, and numbers say
// what of it can be read.
type modelBody struct {
	body    *Body
	data    []byte
	size    int64
	end     error
	read    int
	ended   bool
	memory  int64
	disk    int64 // reserved
	written int64
	lost    error
	dropped bool
	closed  bool
	readers []*modelReader
}

type modelReader struct {
	of     *modelBody
	r      io.ReadCloser
	at     int
	closed bool
}

func (m *modelBody) newest() *modelReader {
	for _, r := range slices.Backward(m.readers) {
		if !r.closed {
			return r
		}
	}
	return nil
}

// A model is a Store and its disk.
type model struct {
	*rapid.T
	store  *Store
	disk   *disk
	room   int64
	bodies []*modelBody
}

func (m *model) total() (s Stats, written int64) {
	for _, b := range m.bodies {
		if !b.closed {
			s.Bodies++
		}
		if !b.dropped {
			s.Memory += b.memory
			s.Disk += b.disk
			written += b.written
		}
	}
	return s, written
}

// keep says what becomes of n bytes that were read.
func (m *model) keep(b *modelBody, n int64) error {
	length := max(b.size, b.memory+b.written+n)
	have, written := m.total()
	switch {
	case b.lost != nil:
		return b.lost
	case length > m.store.MaxBody:
		return ErrBound
	case have.Memory+have.Disk+n > m.store.MaxTotal:
		return ErrBound
	case b.written == 0 && length <= m.store.Memory:
		b.memory += n
		return nil
	}
	b.disk += n
	if written+n > m.room {
		return syscall.ENOSPC
	}
	b.written += n
	return nil
}

func (m *model) read(r *modelReader, p []byte) {
	b := r.of
	n, err := r.r.Read(p)
	got := p[:n]
	if n > 0 && !bytes.Equal(got, b.data[r.at:][:n]) {
		m.Fatalf("at %d: other bytes", r.at)
	}
	expect := func(want error) {
		if n != 0 || !errors.Is(err, want) {
			m.Fatalf("at %d: %d bytes, %v, want %v", r.at, n, err, want)
		}
	}
	switch {
	case r.closed:
		expect(http.ErrBodyReadAfterClose)
		return
	case b.closed:
		expect(errClosed)
		return
	case r.at < b.read:
		if b.dropped {
			expect(b.lost)
			return
		}
		if n == 0 || r.at+n > b.read {
			m.Fatalf("at %d of %d: %d bytes replayed, %v", r.at, b.read, n, err)
		}
	case b.ended:
		expect(b.end)
		return
	case b.lost != nil && r != b.newest():
		expect(b.lost)
		return
	default:
		if want := min(len(p), len(b.data)-b.read); n != want {
			m.Fatalf("at %d: %d bytes passed on, want %d", r.at, n, want)
		}
		if n > 0 {
			if why := m.keep(b, int64(n)); why != nil {
				b.lost = why
			}
		}
		b.read += n
		b.ended = n == 0
	}
	r.at += n
	var want error
	if r.at == b.read && b.ended {
		want = b.end
	}
	if !errors.Is(err, want) || want == nil && err != nil {
		m.Fatalf("at %d: %v, want %v", r.at, err, want)
	}
}

func (m *model) check() {
	for _, b := range m.bodies {
		if r := b.newest(); b.closed || b.lost != nil && (r == nil || r.at == b.read) {
			b.dropped = true
		}
		var fault error
		if b.ended && b.end != io.EOF {
			fault = b.end
		}
		if err := b.body.Err(); !errors.Is(err, fault) || fault == nil && err != nil {
			m.Fatalf("Err is %v, want %v", err, fault)
		}
	}
	stats, written := m.total()
	if got := m.store.Stats(); got != stats {
		m.Fatalf("stats %+v, want %+v", got, stats)
	}
	if got := m.room - m.disk.room; got != written {
		m.Fatalf("%d bytes on disk, want %d", got, written)
	}
}

// Bodies, readers and bounds, in any order, do what a model does that knows the content from the
// start.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := func(name string, least, most int64) int64 {
			return rapid.Int64Range(least, most).Draw(t, name)
		}
		m := &model{T: t, room: bound("room", 50, 1000)}
		m.disk = &disk{room: m.room}
		m.store = &Store{Memory: bound("memory", 1, 300), MaxBody: bound("of one", 100, 400),
			MaxTotal: bound("of all", 200, 1500), create: m.disk.create}
		body := func() *modelBody { return rapid.SampledFrom(m.bodies).Draw(t, "body") }
		reader := func() *modelReader {
			b := body()
			if len(b.readers) == 0 {
				t.Skip()
			}
			return rapid.SampledFrom(b.readers).Draw(t, "reader")
		}
		keep := func(t *rapid.T) {
			b := &modelBody{data: content(rapid.IntRange(100, 300).Draw(t, "size")), size: -1,
				end: io.EOF}
			b.end = rapid.SampledFrom([]error{io.EOF, syscall.ECONNRESET}).Draw(t, "end")
			if rapid.Bool().Draw(t, "size known") {
				b.size = int64(len(b.data))
			}
			b.body = m.store.Keep(&client{data: b.data, end: b.end}, b.size)
			m.bodies = append(m.bodies, b)
		}
		keep(t)
		t.Repeat(map[string]func(*rapid.T){
			"keep": keep,
			"open": func(t *rapid.T) {
				b := body()
				r, err := b.body.Open()
				want := b.lost
				if b.closed {
					want = errClosed
				} else if b.ended && b.end != io.EOF && want == nil {
					want = b.end
				}
				if !errors.Is(err, want) || want == nil && err != nil {
					t.Fatalf("Open: %v, want %v", err, want)
				}
				if err == nil {
					b.readers = append(b.readers, &modelReader{of: b, r: r})
				}
			},
			"read": func(t *rapid.T) {
				m.read(reader(), make([]byte, rapid.IntRange(1, 200).Draw(t, "bytes")))
			},
			"close a reader": func(t *rapid.T) {
				r := reader()
				test.Check(t, r.r.Close())
				r.closed = true
			},
			"forget": func(t *rapid.T) {
				b := body()
				if b.body.Forget(); b.lost == nil {
					b.lost = errForgotten
				}
			},
			"close": func(t *rapid.T) {
				b := body()
				test.Check(t, b.body.Close())
				b.closed = true
			},
			"": func(*rapid.T) { m.check() },
		})
		for _, b := range m.bodies {
			b.body.Close()
			b.closed = true
		}
		m.check()
		if m.disk.open != 0 {
			t.Fatalf("%d files are open", m.disk.open)
		}
	})
}
