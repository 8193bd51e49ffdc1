package spool

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/internal/memdir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(memdir.For(m)) }

// content returns n bytes that are never the same.
func content(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// A client sends data in pieces, and then end.
type client struct {
	data  []byte
	piece int // at most so many bytes a Read; if 0, any number
	every time.Duration
	end   error // if nil, io.EOF
	reads int
}

func (c *client) Read(p []byte) (int, error) {
	c.reads++
	time.Sleep(c.every)
	if len(c.data) == 0 {
		if c.end != nil {
			return 0, c.end
		}
		return 0, io.EOF
	}
	if c.piece > 0 && len(p) > c.piece {
		p = p[:c.piece]
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

// A disk has files in memory, and room for so many bytes.
type disk struct {
	room   int64
	open   int
	broken error  // of reading
	during func() // called while a file is read or written
}

type diskFile struct {
	on   *disk
	data []byte
	gone bool
}

func (d *disk) create(string) (file, error) { d.open++; return &diskFile{on: d}, nil }

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	f.meanwhile()
	if f.gone {
		return 0, fs.ErrClosed
	}
	if more := at + int64(len(p)) - int64(len(f.data)); more > f.on.room {
		return 0, syscall.ENOSPC
	}
	f.on.room -= int64(len(p))
	f.data = append(f.data[:at], p...)
	return len(p), nil
}

func (f *diskFile) ReadAt(p []byte, at int64) (int, error) {
	f.meanwhile()
	if f.gone {
		return 0, fs.ErrClosed
	}
	if f.on.broken != nil {
		return 0, f.on.broken
	}
	n := copy(p, f.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) meanwhile() {
	if during := f.on.during; during != nil {
		f.on.during = nil
		during()
	}
}

func (f *diskFile) Close() error {
	if f.gone {
		panic("closed twice")
	}
	f.gone = true
	f.on.open--
	f.on.room += int64(len(f.data))
	return nil
}
