package filebody

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func newRequest(t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://h.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// file writes a file that is a day old, and returns what it is.
func file(t *testing.T, path, content string) os.FileInfo {
	t.Helper()
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	err := errors.Join(os.WriteFile(path, []byte(content), 0o600),
		os.Chtimes(path, yesterday, yesterday))
	info, statErr := os.Stat(path)
	if err := errors.Join(err, statErr); err != nil {
		t.Fatal(err)
	}
	return info
}

// Between the look at a small file and its turn anything may have taken its place.
func TestSeenBefore(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(path string) error
		want   error
	}{
		{"the same", func(string) error { return nil }, nil},
		{"written to", func(path string) error {
			return os.WriteFile(path, []byte("HELLO"),
				0o600)
		}, ErrChanged},
		{"cut", func(path string) error { return os.Truncate(path, 3) }, ErrChanged},
		{"touched", func(path string) error { return os.Chtimes(path, time.Time{}, time.Now()) },
			ErrChanged},
		{"replaced by one of the same size and time", func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, os.WriteFile(path+".new", []byte("HELLO"), 0o600),
				os.Chtimes(path+".new", time.Time{}, info.ModTime()), os.Rename(path+".new", path))
		}, ErrChanged},
		{"removed", os.Remove, fs.ErrNotExist},
		{"a directory", func(path string) error {
			return errors.Join(os.Remove(path),
				os.Mkdir(path, 0o700))
		}, ErrChanged},
		// must not block
		{"a pipe", func(path string) error { return errors.Join(os.Remove(path), mkfifo(path)) },
			ErrChanged},
		{"a socket", func(path string) error { return errors.Join(os.Remove(path), listen(path)) },
			ErrChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS == "windows" &&
				(c.name == "a directory" || c.name == "replaced by one of the same size and time") {
				t.Skip("which file a path is, is asked late, and no directory can be opened")
			}
			path := filepath.Join(t.TempDir(), "f")
			seen := file(t, path, "hello")
			if err := c.change(path); errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
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
