package filebody

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/test"
)

// request returns a request whose body is the file at path.
func request(t *testing.T, path string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://h.example/", nil)
	if err == nil {
		err = Set(req, path)
	}
	test.OK(t, err)
	t.Cleanup(func() { req.Body.Close() })
	return req
}

// opened returns the body of a large file, as an item has it.
func opened(t *testing.T, path string) *Large {
	t.Helper()
	body, _, err := File(path).Open(t.Context(), nil)
	test.OK(t, err)
	t.Cleanup(func() { body.Close() })
	return body.(*Large)
}

// file writes a file that is a day old, and returns what it is.
func file(t *testing.T, path, content string) os.FileInfo {
	t.Helper()
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	err := errors.Join(os.WriteFile(path, []byte(content), 0o600),
		os.Chtimes(path, yesterday, yesterday))
	info, statErr := os.Stat(path)
	test.OK(t, errors.Join(err, statErr))
	return info
}

// instead puts something else where a file was; nothing if put is nil.
func instead(put func(path string) error) func(string) error {
	return func(path string) error {
		if put == nil {
			return os.Remove(path)
		}
		return errors.Join(os.Remove(path), put(path))
	}
}

func mkdir(path string) error { return os.Mkdir(path, 0o700) }

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

// replace puts another file of the same size and time there.
func replace(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path+".new", make([]byte, info.Size()), 0o600),
		os.Chtimes(path+".new", time.Time{}, info.ModTime()), os.Rename(path+".new", path))
}

// change changes the file at path, or skips the test where the system has nothing like it.
func change(t *testing.T, path string, how func(string) error) {
	t.Helper()
	if err := how(path); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// Between the look at a small file and its turn anything may have taken its place.
func TestSeenBefore(t *testing.T) {
	touch := func(path string) error { return os.Chtimes(path, time.Time{}, time.Now()) }
	for _, c := range []struct {
		name    string
		change  func(path string) error
		want    error
		windows bool // Windows asks late which file a path is, and cannot open a directory
	}{
		{"the same", func(string) error { return nil }, nil, true},
		{"written to", func(path string) error {
			return os.WriteFile(path, []byte("HELLO"), 0o600)
		}, ErrChanged, true},
		{"cut", func(path string) error { return os.Truncate(path, 3) }, ErrChanged, true},
		{"touched", touch, ErrChanged, true},
		{"replaced by one of the same size and time", replace, ErrChanged, false},
		{"removed", os.Remove, fs.ErrNotExist, true},
		{"a directory", instead(mkdir), ErrChanged, false},
		{"a pipe", instead(mkfifo), ErrChanged, true}, // must not block
		{"a socket", instead(listen), ErrChanged, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && !c.windows {
				t.Skip("not on Windows")
			}
			path := filepath.Join(t.TempDir(), "f")
			seen := file(t, path, "hello")
			change(t, path, c.change)
			body, info, err := File(path).Open(t.Context(), seen)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if c.want != nil {
				if body != nil || info != nil {
					t.Errorf("there is %v, %v", body, info)
				}
				return
			}
			content, err := io.ReadAll(body)
			if string(content) != "hello" || err != nil || info.Size() != 5 {
				t.Errorf("%q, %v, %d bytes", content, err, info.Size())
			}
		})
	}
}
