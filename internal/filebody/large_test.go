package filebody

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A large file is opened when it is first read, and by then anything may have taken its place.
// Nothing of it is sent, and nothing blocks: neither Close nor the context ends an open(2).
func TestLargeFileThatIsReplaced(t *testing.T) {
	for name, open := range map[string]func(b *Large) error{
		"Read":        func(b *Large) error { _, err := b.Read(make([]byte, 1)); return err },
		"SyscallConn": func(b *Large) error { _, err := b.SyscallConn(); return err },
	} {
		for place, put := range map[string]func(path string) error{
			"a pipe":      mkfifo,
			"a directory": mkdir,
			"a socket":    listen,
			"a link to a device": func(path string) error {
				if runtime.GOOS == "windows" {
					return errors.ErrUnsupported
				}
				return os.Symlink(os.DevNull, path)
			},
			"nothing": nil,
		} {
			t.Run(name+", "+place, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "f")
				file(t, path, strings.Repeat("x", MaxSmall+1))
				body := opened(t, path)
				change(t, path, instead(put))
				err := open(body)
				if !errors.As(err, new(*OpenError)) || !errors.Is(err, ErrChanged) ||
					strings.Count(err.Error(), "retry: body: ") != 1 {
					t.Error(err)
				}
				if unsent, err := body.Verify(); !errors.Is(err, ErrChanged) || !unsent {
					t.Errorf("Verify: %v, unsent %v", err, unsent)
				}
			})
		}
	}
}

// Another file of the same size and time is a change for an item, and none for a request that
// SetFileBody made.
func TestLargeFileThatIsReplacedByItsLike(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	file(t, path, strings.Repeat("x", MaxSmall+1))
	req, body := request(t, path), opened(t, path)
	change(t, path, replace)
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, ErrChanged) {
		t.Errorf("of an item: %v", err)
	}
	if _, err := req.Body.Read(make([]byte, 1)); err != nil {
		t.Errorf("of a request: %v", err)
	}
}

// A file whose length is not what it was is read neither to a regular end nor without one.
func TestLengthThatChangesWhileRead(t *testing.T) {
	const size = MaxSmall + 1
	for _, length := range []int64{size - 1, size + 1, 2 * size} {
		for _, slow := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "f")
			file(t, path, strings.Repeat("x", size))
			body := opened(t, path)
			var r io.Reader = body
			if slow {
				r = iotest.OneByteReader(r)
			}
			if _, err := r.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
			if err := os.Truncate(path, length); err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r); n >= 2*size || !errors.Is(err, ErrChanged) {
				t.Errorf("%d bytes instead of %d: %d were read, %v", length, size, n, err)
			}
			if err := body.Close(); !errors.Is(err, ErrChanged) {
				t.Errorf("closing: %v", err)
			}
		}
	}
}

// A large file goes out by the system calls for regular files, which the poller of the runtime does
// not watch.
func TestLargeFileIsNotWatched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	content := strings.Repeat("x", MaxSmall+1)
	file(t, path, content)
	req := request(t, path)
	if got, err := io.ReadAll(req.Body); string(got) != content || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	f := req.Body.(*Large).file.Load()
	if err := f.SetDeadline(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("it has deadlines: %v", err)
	}
}
