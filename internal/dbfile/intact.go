package dbfile

import (
	"errors"
	"fmt"
	"os"
)

// ErrReplaced says that SQLite goes on writing to a file that has no name any more.
var ErrReplaced = errors.New("was removed or replaced while in use")

// Files are a file and its write-ahead log as they were when it was opened.
type Files struct {
	path      string
	file, log os.FileInfo // log is nil if there was none
}

// FilesOf returns those of a path that are there now.
func FilesOf(path string) (f Files, err error) {
	f.path = path
	f.log, _ = os.Lstat(path + "-wal")
	f.file, err = os.Lstat(path)
	return f, err
}

// Intact fails with ErrReplaced if one of the two was removed or replaced.
func (f Files) Intact() error {
	switch {
	case !isStill(f.path, f.file):
		return ErrReplaced
	case f.LogLost():
		return fmt.Errorf("%w: its file %s-wal", ErrReplaced, f.path)
	}
	return nil
}

// LogLost reports whether only the log was removed or replaced.
func (f Files) LogLost() bool {
	return f.log != nil && isStill(f.path, f.file) && !isStill(f.path+"-wal", f.log)
}

func isStill(path string, file os.FileInfo) bool {
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(there, file)
}
