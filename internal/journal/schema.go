package journal

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
	"sync"

	"modernc.org/sqlite"

	"github.com/penstock/penstock/internal/item"
)

const (
	applicationID = 0x70736b6a // "pskj", in the header of the file
	version       = 4          // of the schema: user_version
	magic         = "SQLite format 3\x00"
	pageBytes     = 4096 // SQLite's default
)

// Columns of fixed size come first: reading the index then need not look at the texts.
const (
	createItem = `CREATE TABLE item (
	n INTEGER PRIMARY KEY,
	id INTEGER NOT NULL,
	size INTEGER NOT NULL,
	mtime INTEGER,
	mark INTEGER NOT NULL,
	state TEXT NOT NULL,
	doubt INTEGER NOT NULL,
	key_made INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	first INTEGER,
	last INTEGER NOT NULL,
	http_status INTEGER NOT NULL,
	method TEXT NOT NULL,
	path TEXT NOT NULL,
	rel TEXT NOT NULL,
	url TEXT NOT NULL,
	key TEXT NOT NULL,
	error TEXT NOT NULL,
	digest BLOB,
	older INTEGER NOT NULL
)`
	createRun = `CREATE TABLE run (
	n INTEGER PRIMARY KEY,
	started INTEGER NOT NULL,
	finished INTEGER,
	exit_status INTEGER,
	target TEXT NOT NULL,
	method TEXT NOT NULL,
	command TEXT NOT NULL,
	version TEXT NOT NULL,
	by_results INTEGER NOT NULL
)`
	createWait = `CREATE TABLE wait (
	origin TEXT PRIMARY KEY,
	asked INTEGER NOT NULL,
	until INTEGER NOT NULL
) WITHOUT ROWID`
	createItems = `CREATE VIEW items AS SELECT
	n, state, method, url, nullif(path, '') AS path, attempts,
	nullif(http_status, 0) AS http_status,
	nullif(error, '') AS error,
	strftime('%Y-%m-%dT%H:%M:%fZ', first/1000.0, 'unixepoch') AS first,
	strftime('%Y-%m-%dT%H:%M:%fZ', last/1000.0, 'unixepoch') AS last,
	size,
	strftime('%Y-%m-%dT%H:%M:%SZ', mtime/1000000000, 'unixepoch') AS mtime,
	nullif(key, '') AS key,
	lower(hex(digest)) AS digest,
	nullif(rel, '') AS rel, doubt, older,
	printf('%016x', id) AS id
FROM item`

	itemColumns = `n, id, size, mtime, mark, state, doubt, key_made, attempts, first, last, http_status, method, path, rel, url, key, error, digest, older`

	selectItems = "SELECT " + itemColumns + " FROM item"

	// One column instead of two: each costs more than the arithmetic. The numbers are those of item.Fate.
	selectIndex = `SELECT n<<3 | CASE state WHEN 'in_flight' THEN 1 WHEN 'delivered' THEN 2 WHEN 'failed' THEN 3 WHEN 'unknown' THEN 4
	WHEN 'deferred' THEN 5 ELSE 0 END, id, size, mtime, mark FROM item ORDER BY n`

	// What has not changed has the digest that was computed once. Archives give files in other places the same date.
	upsertItem = `INSERT INTO item (` + itemColumns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (n) DO UPDATE SET
	digest = CASE WHEN excluded.digest IS NULL AND excluded.size = size AND excluded.mtime IS mtime AND excluded.mark = mark THEN digest ELSE excluded.digest END,
	older = excluded.older, size = excluded.size, mtime = excluded.mtime, mark = excluded.mark, state = excluded.state, doubt = excluded.doubt, key_made = excluded.key_made, attempts = excluded.attempts,
	first = excluded.first, last = excluded.last, http_status = excluded.http_status, method = excluded.method, path = excluded.path,
	rel = excluded.rel, url = excluded.url, key = excluded.key, error = excluded.error`
)

// ofdLocks makes SQLite's locks survive that this process opens and closes the same file elsewhere, where the
// system can do that.
var ofdLocks = sync.OnceFunc(func() { sqlite.OFDLocking(true) })

// openDB opens one connection. Mode is "rw", "ro" or "ro&immutable=1"; no mode makes the file.
func openDB(ctx context.Context, path, mode string) (*sql.DB, *sql.Conn, error) {
	ofdLocks()
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	abs = filepath.ToSlash(abs)
	if abs[0] != '/' {
		abs = "/" + abs // a drive's letter
	}
	db, err := sql.Open("sqlite", "file://"+(&url.URL{Path: abs}).EscapedPath()+"?_error_rc=1&mode="+mode)
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err == nil {
		// fullfsync is for macOS, where fsync alone does not reach the disk.
		_, err = conn.ExecContext(ctx, `PRAGMA busy_timeout=10000; PRAGMA synchronous=FULL; PRAGMA fullfsync=ON;
			PRAGMA checkpoint_fullfsync=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON`)
	}
	if err != nil {
		closeDB(db, conn)
		return nil, nil, err
	}
	return db, conn, nil
}

// closeDB closes what is not nil.
func closeDB(db *sql.DB, conn *sql.Conn) (err error) {
	defer guard(&err)()
	if conn != nil {
		err = conn.Close()
	}
	if db != nil {
		err = cmp.Or(err, db.Close())
	}
	return err
}

// header is what the first bytes of a file tell.
type header struct {
	size int64
	wal  bool // in WAL mode
}

// readHeader looks at the file before SQLite does, which would recover and change what is not ours. Size is 0 where
// there is no file or nothing in it.
func readHeader(path string) (header, error) {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return header{}, leftWAL(path)
	case err == nil && !fi.Mode().IsRegular(): // opening a pipe can block forever
		return header{}, fmt.Errorf("%w: not a regular file", errForeign)
	case err != nil:
		return header{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	if fi.Size() == 0 {
		return header{}, leftWAL(path)
	}
	var b [100]byte
	switch n, err := io.ReadFull(f, b[:]); {
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return header{}, err
	case !strings.HasPrefix(magic, string(b[:min(n, len(magic))])):
		return header{}, fmt.Errorf("%w: not an SQLite file", errForeign)
	case err != nil:
		return header{}, fmt.Errorf("%w: cut short at %d bytes", errDamaged, n)
	}
	if id := binary.BigEndian.Uint32(b[68:]); id != applicationID {
		return header{}, fmt.Errorf("%w: an SQLite file of another program", errForeign)
	}
	if err := checkVersion(int(binary.BigEndian.Uint32(b[60:]))); err != nil {
		return header{}, err
	}
	// Bytes that lack at the end of the last page SQLite takes as zeros. A log that is left may still mend that.
	if wal, err := os.Stat(path + "-wal"); fi.Size()%pageBytes != 0 && (err != nil || wal.Size() == 0) {
		return header{}, fmt.Errorf("%w: cut short at %d bytes", errDamaged, fi.Size())
	}
	return header{fi.Size(), b[18] == 2}, nil
}

// leftWAL is an error where a write-ahead log lies beside no or an empty file: SQLite would drop it.
func leftWAL(path string) error {
	if fi, err := os.Stat(path + "-wal"); err != nil || fi.Size() == 0 {
		return nil
	}
	return &Error{path, errors.New("is missing or empty, but " + path + "-wal holds a part of it"), "put the file back, or remove that one too to begin anew"}
}

// create makes the schema in an empty file. It is for the caller to sync that, in the end and once: each step by itself would cost
// a time that people notice. A kill of the program alone breaks nothing that was written, and nothing is in the file yet.
func create(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA synchronous=OFF; PRAGMA page_size=%d; BEGIN IMMEDIATE; PRAGMA application_id=%d; PRAGMA user_version=%d; %s; %s; %s; %s; COMMIT",
		pageBytes, applicationID, version, createItem, createRun, createWait, createItems))
	return err
}

// guard turns a panic into an error: SQLite here is Go code that was made from C, and a file damaged in the right
// places could lead it to a bad address. Use it as: defer guard(&err)().
func guard(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}
}

// stateOf returns the fate that the column state names, or None where no row can have that.
func stateOf(column string) item.Fate {
	if f, err := item.Parse(column); err == nil && f != item.Skipped {
		return f
	}
	return item.None
}

// scanItem reads a row of itemColumns; n is its number.
func scanItem(row interface{ Scan(...any) error }) (it Item, n int64, err error) {
	var id, last, mark int64
	var mtime, first sql.NullInt64
	var state string
	err = row.Scan(&n, &id, &it.Size, &mtime, &mark, &state, &it.Doubt, &it.KeyMade, &it.Attempts, &first, &last, &it.HTTPStatus,
		&it.Method, &it.Path, &it.Rel, &it.URL, &it.Key, &it.Error, &it.Digest, &it.Older)
	var se *sqlite.Error
	switch {
	case errors.As(err, &se), errors.Is(err, sql.ErrNoRows):
		return Item{}, 0, err
	case err != nil: // a column has what it should not have
		return Item{}, 0, fmt.Errorf("%w: %w", errDamaged, err)
	}
	it.ID, it.Mark = uint64(id), uint64(mark)
	if mtime.Valid {
		it.ModTime = timeOfNanos(mtime.Int64)
	}
	if first.Valid {
		it.First = timeOfMillis(first.Int64)
	}
	it.Last = timeOfMillis(last)
	if it.State = stateOf(state); it.State == item.None {
		return Item{}, 0, fmt.Errorf("%w: row %d has the state %q", errDamaged, n, state)
	}
	return it, n, nil
}
