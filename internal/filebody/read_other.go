//go:build !unix

package filebody

import (
	"io"
	"os"
)

func openFile(path string) (*os.File, error) { return os.Open(path) }

// readFile fills data with a file that was what info says when it was looked at. If before or after
// that it is no longer so, it fails with [ErrChanged].
func readFile(path string, data []byte, info os.FileInfo) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := same(f, info); err != nil {
		return err
	}
	switch _, err := io.ReadFull(f, data); {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return ErrChanged
	case err != nil:
		return err
	}
	return same(f, info)
}

// same fails with [ErrChanged] if an open file is no longer what info says.
func same(f *os.File, info os.FileInfo) error {
	now, err := f.Stat()
	if err == nil && (!os.SameFile(info, now) || FingerprintOf(info).Changed(now)) {
		err = ErrChanged
	}
	return err
}
