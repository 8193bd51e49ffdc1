// Package dbfile opens SQLite files of ours. It looks at a file before SQLite does, and turns what
// SQLite makes of a damaged one into errors.
//
// It knows nothing of tables.
package dbfile

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"modernc.org/sqlite"
)

// PageSize is the size of the pages of our files, SQLite's default.
const PageSize = 4096

const magic = "SQLite format 3\x00"

// What is wrong with a file, in words that follow its name.
var (
	ErrDamaged = errors.New("is damaged")
	ErrForeign = errors.New("is not a penstock journal")
	ErrLogOnly = errors.New("is missing or empty")
)

// A Conn is the one connection to a file.
type Conn struct {
	*sql.Conn
	db *sql.DB
}

// SQLite's locks survive that this process opens and closes the same file elsewhere, where the
// system can do that. It can be asked for only before the first lock of the process.
func init() { _, _ = sqlite.OFDLocking(true) }

// Open opens a file. Mode is "rw", "ro" or "ro&immutable=1"; no mode makes the file.
func Open(ctx context.Context, path, mode string) (*Conn, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	abs = filepath.ToSlash(abs)
	if abs[0] != '/' {
		abs = "/" + abs // a drive's letter
	}
	name := "file://" + (&url.URL{Path: abs}).EscapedPath() + "?_error_rc=1&mode=" + mode
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	c := &Conn{db: db}
	if c.Conn, err = db.Conn(ctx); err == nil {
		// fullfsync is for macOS, where fsync alone does not reach the disk.
		_, err = c.ExecContext(ctx, `PRAGMA busy_timeout=10000; PRAGMA synchronous=FULL;
			PRAGMA fullfsync=ON; PRAGMA checkpoint_fullfsync=ON; PRAGMA trusted_schema=OFF;
			PRAGMA cell_size_check=ON`)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connection. If it is nil, there is nothing to close.
func (c *Conn) Close() (err error) {
	if c == nil {
		return nil
	}
	defer Guard(&err)()
	if c.Conn != nil {
		err = c.Conn.Close()
	}
	return cmp.Or(err, c.db.Close())
}

// Guard turns a panic into an error: SQLite here is Go code that was made from C, and a file
// damaged in the right places could lead it to a bad address. Use it as: defer Guard(&err)().
func Guard(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}
}

// A Header is what the first bytes of a file state.
type Header struct {
	Size    int64 // 0 where there is no file, or no table in it
	Version int   // user_version
	WAL     bool  // in WAL mode
}

// ReadHeader looks at a file before SQLite does, which would recover and change what is not ours.
func ReadHeader(path string, applicationID uint32) (Header, error) {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Header{}, checkLog(path)
	case err == nil && !fi.Mode().IsRegular(): // opening a pipe can block forever
		return Header{}, fmt.Errorf("%w: not a regular file", ErrForeign)
	case err != nil:
		return Header{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	if fi.Size() == 0 {
		return Header{}, checkLog(path)
	}
	var b [100]byte
	switch n, err := io.ReadFull(f, b[:]); {
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return Header{}, err
	case !strings.HasPrefix(magic, string(b[:min(n, len(magic))])):
		return Header{}, fmt.Errorf("%w: not an SQLite file", ErrForeign)
	case err != nil:
		return Header{}, fmt.Errorf("%w: cut short at %d bytes", ErrDamaged, n)
	}
	id, schemaCookie := binary.BigEndian.Uint32(b[68:]), binary.BigEndian.Uint32(b[40:])
	if id == 0 && schemaCookie == 0 { // it never had a table: we were killed while making it
		return Header{}, checkLog(path)
	}
	if id != applicationID {
		return Header{}, fmt.Errorf("%w: an SQLite file of another program", ErrForeign)
	}
	// Bytes that lack at the end of the last page SQLite takes as zeros. A log that is left may
	// still mend that.
	wal, err := os.Stat(path + "-wal")
	if fi.Size()%PageSize != 0 && (err != nil || wal.Size() == 0) {
		return Header{}, fmt.Errorf("%w: cut short at %d bytes", ErrDamaged, fi.Size())
	}
	return Header{fi.Size(), int(int32(binary.BigEndian.Uint32(b[60:]))), b[18] == 2}, nil
}

// checkLog returns an error where a write-ahead log lies beside no or an empty file: SQLite would
// drop it.
func checkLog(path string) error {
	if fi, err := os.Stat(path + "-wal"); err != nil || fi.Size() == 0 {
		return nil
	}
	return fmt.Errorf("%w, but %s-wal holds a part of it", ErrLogOnly, path)
}
