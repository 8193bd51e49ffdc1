//go:build !unix

package retry

import (
	"io"
	"os"
)

func openFile(path string) (*os.File, error) { return os.Open(path) }

// readFile fills data from the beginning of a file. A file that is shorter is an [io.ErrUnexpectedEOF].
func readFile(path string, data []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = io.ReadFull(f, data); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
