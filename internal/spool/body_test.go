package spool

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/penstock/penstock/internal/test"
)

func check(t testing.TB, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func open(t testing.TB, b *Body) io.ReadCloser {
	t.Helper()
	r, err := b.Open()
	test.OK(t, err)
	return r
}

// read reads to the end, 100 bytes at a time, and checks what came.
func read(t testing.TB, what string, r io.Reader, want []byte) {
	t.Helper()
	var got bytes.Buffer
	_, err := io.CopyBuffer(struct{ io.Writer }{&got}, r, make([]byte, 100))
	if same := bytes.Equal(got.Bytes(), want); err != nil || !same {
		t.Errorf("%s: %d bytes of %d, the same %v, %v", what, got.Len(), len(want), same, err)
	}
}

// Sizes around the bounds: the first attempt has all in any case, the second one if all was kept.
func TestBounds(t *testing.T) {
	for _, c := range []struct {
		name         string
		store        *Store
		length       int
		unknown      bool
		memory, disk int64
		again        bool
	}{
		{"empty", &Store{}, 0, true, 0, 0, true},
		{"a byte", &Store{}, 1, false, 1, 0, true},
		{"all of the memory", &Store{Memory: 1000}, 1000, false, 1000, 0, true},
		{"all of it, size unknown", &Store{Memory: 1000}, 1000, true, 1000, 0, true},
		{"a byte more", &Store{Memory: 1000}, 1001, false, 0, 1001, true},
		{"a byte more, size unknown", &Store{Memory: 1000}, 1001, true, 1000, 1, true},
		{"no memory", &Store{Memory: -1}, 1, false, 0, 1, true},
		{"the default", &Store{}, DefaultMemory, false, DefaultMemory, 0, true},
		{"more than the default", &Store{}, DefaultMemory + 1, false, 0, DefaultMemory + 1, true},
		{"MaxBody", &Store{MaxBody: 1000}, 1000, true, 1000, 0, true},
		{"more than MaxBody", &Store{MaxBody: 1000}, 1001, true, 0, 0, false},
		{"more, and known to be", &Store{MaxBody: 1000}, 1001, false, 0, 0, false},
		{"MaxTotal", &Store{MaxTotal: 1000, Memory: 500}, 1000, true, 500, 500, true},
		{"more than MaxTotal", &Store{MaxTotal: 1000, Memory: 500}, 1001, true, 0, 0, false},
		{"in memory", &Store{MaxTotal: 1000}, 1001, false, 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.store
			s.Dir = t.TempDir()
			data, size := content(c.length), int64(c.length)
			if c.unknown {
				size = -1
			}
			b := s.Keep(&client{data: data}, size)
			read(t, "first", open(t, b), data)
			check(t, "stats", s.Stats(), Stats{1, c.memory, c.disk})
			if c.again {
				read(t, "second", open(t, b), data)
			} else if r, err := b.Open(); r != nil || !errors.Is(err, ErrBound) {
				t.Errorf("%v, %v", r, err)
			}
			check(t, "the client's error", b.Err(), nil)
			b.Close()
			check(t, "stats after Close", s.Stats(), Stats{})
		})
	}
}

// Nothing is read before a reader is, and then what that reader asks for.
func TestNothingIsReadAhead(t *testing.T) {
	from := &client{data: content(1000)}
	b := new(Store).Keep(from, 1000)
	defer b.Close()
	r := open(t, b)
	check(t, "reads", from.reads, 0)
	n, err := r.Read(make([]byte, 10))
	check(t, "bytes", n, 10)
	check(t, "error", err, nil)
	check(t, "reads", from.reads, 1)
	check(t, "left", len(from.data), 990)
	open(t, b).Read(make([]byte, 10))
	check(t, "reads", from.reads, 1)
}

// A reader that is closed while it waits for the client loses nothing for the next one.
func TestOvertaken(t *testing.T) {
	for _, c := range []struct {
		name string
		max  int64 // MaxBody
		size int64
	}{{"kept", 0, 6}, {"size unknown", 0, -1}, {"over the bound just then", 5, -1}} {
		synctest.Test(t, func(t *testing.T) {
			pr, pw := io.Pipe()
			b := (&Store{MaxBody: c.max}).Keep(pr, c.size)
			defer b.Close()
			first := open(t, b)
			go io.Copy(io.Discard, first)
			io.WriteString(pw, "abc")
			synctest.Wait() // it waits for more
			second := open(t, b)
			first.Close()
			got := make(chan string)
			go func() {
				p, err := io.ReadAll(second)
				test.Check(t, err)
				got <- string(p)
			}()
			synctest.Wait()
			io.WriteString(pw, "def")
			pw.Close()
			check(t, c.name, <-got, "abcdef")
			_, err := b.Open()
			check(t, c.name+", once more: bound", errors.Is(err, ErrBound), c.max != 0)
			check(t, c.name+": kept", b.store.Stats().Memory == 6, c.max == 0)
		})
	}
}

// A reader that waits for another one is woken by Close of either kind.
func TestCloseWhileWaiting(t *testing.T) {
	for _, whole := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			pr, pw := io.Pipe()
			s := new(Store)
			b := s.Keep(pr, -1)
			first, second := open(t, b), open(t, b)
			errs := make(chan error, 2)
			go func() { _, err := first.Read(make([]byte, 9)); errs <- err }()
			synctest.Wait()
			go func() { _, err := second.Read(make([]byte, 9)); errs <- err }()
			synctest.Wait()
			if whole {
				b.Close()
				check(t, "second", <-errs, errClosed)
				check(t, "stats", s.Stats(), Stats{})
			} else {
				second.Close()
				check(t, "second", <-errs, http.ErrBodyReadAfterClose)
				first.Close()
			}
			io.WriteString(pw, "x")
			if err := <-errs; err != errClosed && err != http.ErrBodyReadAfterClose {
				t.Error(err)
			}
			if _, err := b.Open(); whole && err != errClosed {
				t.Error(err)
			}
			b.Close()
			check(t, "stats at the end", s.Stats(), Stats{})
		})
	}
}

// What is wrong with the client's body is the client's, whichever reader finds it.
func TestClientAtFault(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		size int64
		sent string
		end  error
		want error
		text string
	}{
		{"breaks off", 5, "abc", boom, boom, "the client's body: boom"},
		{"breaks off, size unknown", -1, "abc", boom, boom, "the client's body: boom"},
		{"too slow", 5, "abc", os.ErrDeadlineExceeded, os.ErrDeadlineExceeded,
			"the client's body: i/o timeout"},
		{"too short", 5, "abc", nil, io.ErrUnexpectedEOF,
			"the client's body: it ends after 3 of 5 bytes: unexpected EOF"},
		{"too long", 2, "abc", nil, errTooLong,
			"the client's body: it is longer than its Content-Length"},
	} {
		s := new(Store)
		b := s.Keep(&client{data: []byte(c.sent), end: c.end}, c.size)
		first, second := open(t, b), open(t, b)
		for _, r := range []io.Reader{first, second, second} {
			got, err := io.ReadAll(r)
			check(t, c.name+": too long", c.size >= 0 && len(got) > int(c.size), false)
			if fault := (*ClientError)(nil); !errors.As(err, &fault) || !errors.Is(err, c.want) {
				t.Errorf("%s: %v", c.name, err)
			} else {
				check(t, c.name, err.Error(), c.text)
				check(t, c.name+": Err", b.Err(), err)
			}
		}
		_, err := b.Open()
		check(t, c.name+": Open", err, b.Err())
		b.Close()
	}
}

// What a body is kept in fails, and the stream does not.
func TestDiskFails(t *testing.T) {
	data := content(1000)
	for _, c := range []struct {
		name string
		size int64
		fail func(t *testing.T, s *Store)
		want error
	}{
		{"full", 1000, func(_ *testing.T, s *Store) { s.create = (&disk{room: 999}).create },
			syscall.ENOSPC},
		{"full at once", 1000, func(_ *testing.T, s *Store) { s.create = new(disk).create },
			syscall.ENOSPC},
		{"full, size unknown", -1, func(_ *testing.T, s *Store) { s.create = new(disk).create },
			syscall.ENOSPC},
		{"no directory", 1000, func(t *testing.T, s *Store) {
			test.OK(t, os.Remove(s.Dir))
		}, fs.ErrNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Store{Dir: filepath.Join(t.TempDir(), "d"), Memory: 500}
			test.OK(t, os.Mkdir(s.Dir, 0o700))
			c.fail(t, s)
			b := s.Keep(&client{data: data, piece: 300}, c.size)
			defer b.Close()
			r := open(t, b)
			read(t, "the stream", r, data)
			check(t, "stats", s.Stats(), Stats{Bodies: 1})
			_, err := b.Open()
			if !errors.Is(err, c.want) ||
				!strings.HasPrefix(err.Error(), "spool: the body cannot be sent again: ") {
				t.Error(err)
			}
			other := s.Keep(&client{data: data[:400]}, 400) // that needs no disk
			defer other.Close()
			for range 2 {
				read(t, "another", open(t, other), data[:400])
			}
		})
	}
}

func TestDiskCannotBeRead(t *testing.T) {
	d := &disk{room: 1000, broken: syscall.EIO}
	s := &Store{Memory: -1, create: d.create}
	b := s.Keep(&client{data: content(1000), piece: 300}, -1)
	first := open(t, b)
	first.Read(make([]byte, 300))
	second := open(t, b)
	_, err := second.Read(make([]byte, 300))
	if !errors.Is(err, syscall.EIO) || errors.As(err, new(*ClientError)) {
		t.Error(err)
	}
	second.Close()
	read(t, "the first", first, content(1000)[300:])
	_, err = b.Open()
	check(t, "opened again", errors.Is(err, syscall.EIO), true)
	b.Close()
	check(t, "files", d.open, 0)
}

// The file belongs to its owner, has no name, and does not need its directory.
func TestFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no file is removed there while it is open")
	}
	s := &Store{Dir: filepath.Join(t.TempDir(), "d"), Memory: -1}
	test.OK(t, os.Mkdir(s.Dir, 0o700))
	data := content(1000)
	b := s.Keep(&client{data: data}, 1000)
	defer b.Close()
	r := open(t, b)
	io.ReadFull(r, make([]byte, 300))
	info, err := b.mu.kept.file.(*os.File).Stat()
	test.OK(t, err)
	check(t, "mode", info.Mode(), fs.FileMode(0o600))
	test.OK(t, os.Remove(s.Dir)) // it is empty
	read(t, "the rest", r, data[300:])
	read(t, "again", open(t, b), data)
}

// After Forget what is kept goes when the attempt under way has read it.
func TestForget(t *testing.T) {
	data := content(1000)
	s := &Store{Memory: 500, create: (&disk{room: 1000}).create}
	b := s.Keep(&client{data: data, piece: 200}, -1)
	io.ReadFull(open(t, b), make([]byte, 800))
	r := open(t, b)
	io.ReadFull(r, make([]byte, 100))
	b.Forget()
	check(t, "stats", s.Stats(), Stats{1, 400, 400})
	_, err := b.Open()
	check(t, "Open", errors.Is(err, errForgotten), true)
	io.ReadFull(r, make([]byte, 700))
	check(t, "stats then", s.Stats(), Stats{Bodies: 1})
	read(t, "the rest", r, data[800:])
	check(t, "stats at the end", s.Stats(), Stats{Bodies: 1})
	b.Close()
	b.Close()
	check(t, "stats after Close", s.Stats(), Stats{})

	b = s.Keep(&client{data: data}, 1000)
	r = open(t, b)
	io.ReadFull(r, make([]byte, 10))
	b.Forget()
	check(t, "nothing was left", s.Stats(), Stats{Bodies: 1})
	read(t, "the rest", r, data[10:])
	b.Close()
}

// A request without a body has none in net/http's words.
func TestSet(t *testing.T) {
	for _, size := range []int64{-1, 0, 3} {
		req, err := http.NewRequest("PUT", "http://h.example/", nil)
		test.OK(t, err)
		b := new(Store).Keep(strings.NewReader("abc"[:max(size, 0)]), size)
		b.Set(req)
		again, err := req.GetBody()
		test.OK(t, err)
		check(t, "length", req.ContentLength, size)
		check(t, "none", req.Body == http.NoBody, size == 0)
		check(t, "none again", again == http.NoBody, size == 0)
		b.Close()
	}
}
