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

// A large file is opened when it is first read, and by then anything may have taken its place. Nothing of it is sent, and nothing blocks:
// neither Close nor the context ends an open(2).
func TestLargeFileThatIsReplaced(t *testing.T) {
	const size = MaxSmall + 1
	for name, open := range map[string]func(b *Large) error{
		"Read":        func(b *Large) error { _, err := b.Read(make([]byte, 1)); return err },
		"SyscallConn": func(b *Large) error { _, err := b.SyscallConn(); return err },
		"Open":        (*Large).Open,
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
				seen := file(t, path, strings.Repeat("x", size))
				req := newRequest(t)
				if _, err := Set(req, path, seen); err != nil {
					t.Fatal(err)
				}
				defer req.Body.Close()
				if err := errors.Join(os.Remove(path), replace(path)); errors.Is(err, errors.ErrUnsupported) {
					t.Skip(err)
				} else if err != nil {
					t.Fatal(err)
				}
				if err := open(req.Body.(*Large)); !errors.Is(err, ErrChanged) || strings.Count(err.Error(), "retry: body: ") != 1 {
					t.Error(err)
				}
				if unsent, err := req.Body.(*Large).Verify(); !errors.Is(err, ErrChanged) || !unsent {
					t.Errorf("Verify: %v, unsent %v", err, unsent)
				}
			})
		}
	}
}

// A large file goes out by the system calls for regular files, which the poller of the runtime does not watch.
func TestLargeFileIsNotWatched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	content := strings.Repeat("x", MaxSmall+1)
	req := newRequest(t)
	if _, err := Set(req, path, file(t, path, content)); err != nil {
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
