package spool

import (
	"io"
	"os"
)

// A file is a temporary file. Its end is the end of what is in it.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
}

func (s *Store) newFile() (file, error) {
	if s.create != nil {
		return s.create(s.Dir)
	}
	f, err := os.CreateTemp(s.Dir, "penstock-body-*") // 0600
	if err != nil {
		return nil, err
	}
	if os.Remove(f.Name()) == nil {
		return f, nil
	}
	return named{f}, nil // Windows removes no file that is open
}

// named is a file that has a name as long as it is open.
type named struct{ *os.File }

func (f named) Close() error {
	err := f.File.Close()
	if gone := os.Remove(f.Name()); err == nil {
		err = gone
	}
	return err
}
