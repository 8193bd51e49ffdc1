package outbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/lockfile"
)

// unfinished is the suffix of a body's file until it is whole.
const unfinished = ".new"

func (s *Store) bodyPath(id string) string { return filepath.Join(s.dir, bodies, id) }

// saveBody writes a file that is on disk, and whole, when it has its name.
func saveBody(path string, from io.Reader) (err error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL | lockfile.OpenFlags
	f, err := os.OpenFile(path+unfinished, flags, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	err = cmp.Or(err, f.Sync())
	err = cmp.Or(err, f.Close())
	if err == nil {
		err = os.Rename(path+unfinished, path)
	}
	if err != nil {
		os.Remove(path + unfinished)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir has the names in a directory survive a crash of the machine.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // which has no such call
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// removeOrphans removes the bodies that no request has: it was not stored in the end, or its row
// was changed, or removed, just before the program ended.
func (s *Store) removeOrphans() error {
	names, err := os.ReadDir(filepath.Join(s.dir, bodies))
	if err != nil {
		return err
	}
	for _, name := range names {
		e, err := s.reader.entry(name.Name())
		switch {
		case err == nil && e.inFile:
			continue
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
		if err := os.Remove(s.bodyPath(name.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Body returns how to open the body of a request that was not delivered, after a look at all of it:
// the error is [ErrChanged] if it is not what was put.
func (r *Reader) Body(id string) (open func() (io.ReadCloser, error), err error) {
	open, err = r.body(id)
	return open, fault(r.dir, err)
}

func (r *Reader) body(id string) (open func() (io.ReadCloser, error), err error) {
	e, err := r.entry(id)
	switch {
	case err != nil:
		return nil, err
	case e.State == Delivered:
		return nil, ErrDelivered
	case e.inFile:
		path := filepath.Join(r.dir, bodies, e.ID)
		open = func() (io.ReadCloser, error) { return os.OpenFile(path, lockfile.OpenFlags, 0) }
	default:
		data, err := r.data(e)
		if err != nil {
			return nil, err
		}
		open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	}
	b, err := open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: its file is gone", ErrChanged)
	}
	if err != nil {
		return nil, err
	}
	defer b.Close()
	hash := e.newDigest()
	if n, err := io.Copy(hash, b); err != nil {
		return nil, err
	} else if n != e.Size || !bytes.Equal(hash.Sum(nil), e.digest) {
		return nil, ErrChanged
	}
	return open, nil
}

// data returns the body that is in the SQLite file.
func (r *Reader) data(e Entry) (data []byte, err error) {
	if e.Size == 0 {
		return nil, nil
	}
	defer dbfile.Guard(&err)()
	r.mu.Lock()
	defer r.mu.Unlock()
	const query = "SELECT data FROM body WHERE seq = ?"
	row := r.conn.QueryRowContext(context.Background(), query, e.Seq)
	if err = scanFault(row.Scan(&data)); errors.Is(err, ErrNotFound) {
		err = ErrChanged
	}
	return data, err
}
