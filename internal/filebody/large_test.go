package filebody

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// listen puts a socket where path is.
func listen(path string) error {
	if runtime.GOOS == "windows" { // where a file is no socket to Stat
		return errors.ErrUnsupported
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return errors.Join(errors.ErrUnsupported, err)
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

// A large file is opened when it is first read, and by then anything may have taken its place.
// Nothing of it is sent, and nothing blocks: neither Close nor the context ends an open(2).
func TestLargeFileThatIsReplaced(t *testing.T) {
	const size = MaxSmall + 1
	for name, open := range map[string]func(b *Large) error{
		"Read":        func(b *Large) error { _, err := b.Read(make([]byte, 1)); return err },
		"SyscallConn": func(b *Large) error { _, err := b.SyscallConn(); return err },
	} {
		for place, replace := range map[string]func(path string) error{
			"a pipe":      mkfifo,
			"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
			"a socket":    listen,
			"a link to a device": func(path string) error {
				if runtime.GOOS == "windows" {
					return errors.ErrUnsupported
				}
				return os.Symlink(os.DevNull, path)
			},
			"nothing": func(string) error { return nil },
		} {
			t.Run(name+", "+place, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "f")
				file(t, path, strings.Repeat("x", size))
				body, _, err := File(path).Open(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer body.Close()
				if err := errors.Join(os.Remove(path), replace(path)); errors.Is(err,
					errors.ErrUnsupported) {
					t.Skip(err)
				} else if err != nil {
					t.Fatal(err)
				}
				err = open(body.(*Large))
				if !errors.As(err, new(*OpenError)) || !errors.Is(err, ErrChanged) ||
					strings.Count(err.Error(), "retry: body: ") != 1 {
					t.Error(err)
				}
				if unsent, err := body.(*Large).Verify(); !errors.Is(err, ErrChanged) || !unsent {
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
	content := strings.Repeat("x", MaxSmall+1)
	file(t, path, content)
	req := newRequest(t)
	if err := Set(req, path); err != nil {
		t.Fatal(err)
	}
	defer req.Body.Close()
	body, _, err := File(path).Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	info := file(t, path+".new", content)
	if err := errors.Join(os.Chtimes(path+".new", time.Time{}, info.ModTime()),
		os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
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
			body, _, err := File(path).Open(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
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
	req := newRequest(t)
	if err := Set(req, path); err != nil {
		t.Fatal(err)
	}
	defer req.Body.Close()
	if got, err := io.ReadAll(req.Body); string(got) != content || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	f := req.Body.(*Large).file.Load()
	if err := f.SetDeadline(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("it has deadlines: %v", err)
	}
}
