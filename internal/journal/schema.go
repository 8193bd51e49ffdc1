package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
)

const (
	applicationID = 0x70736b6a // "pskj", in the header of the file
	version       = 6          // of the schema: user_version
)

// Columns of fixed size come first: reading the index then need not look at the texts. The last one
// is written as ALTER TABLE adds it to an earlier version.
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
, captured TEXT)`
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
, shard TEXT NOT NULL DEFAULT '')`
	createWait = `CREATE TABLE wait (
	origin TEXT PRIMARY KEY,
	asked INTEGER NOT NULL,
	until INTEGER NOT NULL
) WITHOUT ROWID`
	createShard = `CREATE TABLE shard (
	number INTEGER NOT NULL,
	of_all INTEGER NOT NULL,
	PRIMARY KEY (of_all, number)
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
	nullif(rel, '') AS rel, doubt, older, captured,
	printf('%016x', id) AS id
FROM item`

	itemColumns = "n, id, size, mtime, mark, state, doubt, key_made, attempts, first, last, " +
		"http_status, method, path, rel, url, key, error, digest, older, captured"
	selectItems = "SELECT " + itemColumns + " FROM item"
)

var selectIndex, upsertItem = indexQuery(), upsertQuery()

// indexQuery selects for each row its number, its state and whether it has a receipt in one column,
// for each column costs more than the arithmetic.
func indexQuery() string {
	var states strings.Builder
	for f := item.InFlight; f <= item.Deferred; f++ {
		fmt.Fprintf(&states, " WHEN '%s' THEN %d", f, f)
	}
	return "SELECT n<<4 | (captured IS NOT NULL) * 8 | CASE state" + states.String() +
		" ELSE 0 END, id, size, mtime, mark FROM item ORDER BY n"
}

// upsertQuery replaces a row, but for the digest. What has not changed has the one that was
// computed once; archives give files in other places the same date.
func upsertQuery() string {
	columns := strings.Split(itemColumns, ", ")
	sets := []string{`digest = CASE WHEN excluded.digest IS NULL AND excluded.size = size AND
	excluded.mtime IS mtime AND excluded.mark = mark THEN digest ELSE excluded.digest END`}
	for _, c := range columns {
		if c != "n" && c != "id" && c != "digest" {
			sets = append(sets, c+" = excluded."+c)
		}
	}
	return fmt.Sprintf("INSERT INTO item (%s) VALUES (?%s) ON CONFLICT (n) DO UPDATE SET %s",
		itemColumns, strings.Repeat(",?", len(columns)-1), strings.Join(sets, ", "))
}

// readHeader looks at a file before SQLite does.
func readHeader(path string) (dbfile.Header, error) {
	h, err := dbfile.ReadHeader(path, applicationID)
	if err == nil && h.Size > 0 {
		err = checkVersion(h.Version)
	}
	return h, err
}

// create makes the schema in an empty file. It is for the caller to sync that, in the end and once:
// each step by itself would cost a time that people notice. A kill of the program alone breaks
// nothing that was written, and nothing is in the file yet.
func create(ctx context.Context, conn *dbfile.Conn) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA synchronous=OFF; PRAGMA page_size=%d;
		BEGIN IMMEDIATE; PRAGMA application_id=%d; PRAGMA user_version=%d; %s; %s; %s; %s; %s;
		COMMIT`,
		dbfile.PageSize, applicationID, version, createItem, createRun, createWait, createShard,
		createItems))
	return err
}

// scanFunc is sql.Rows.Scan, or that of a row.
type scanFunc = func(...any) error

// each calls do for each row of a query, until that fails.
func each(
	ctx context.Context, conn interface {
		QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	},
	do func(scanFunc) error, query string, args ...any,
) error {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// stateOf returns the fate that the column state names, or None where no row can have that.
func stateOf(column string) item.Fate {
	if f, err := item.Parse(column); err == nil && f != item.Skipped {
		return f
	}
	return item.None
}

// scanItem reads a row of itemColumns; n is its number.
func scanItem(scan scanFunc) (it Item, n int64, err error) {
	var id, last, mark int64
	var mtime, first sql.NullInt64
	var state, key string
	var kind int
	var captured sql.NullString
	err = scan(&n, &id, &it.Size, &mtime, &mark, &state, &it.Doubt, &kind, &it.Attempts,
		&first, &last, &it.HTTPStatus, &it.Method, &it.Path, &it.Rel, &it.URL,
		&key, &it.Error, &it.Digest, &it.Older, &captured)
	var se *sqlite.Error
	switch {
	case errors.As(err, &se), errors.Is(err, sql.ErrNoRows):
		return Item{}, 0, err
	case err != nil: // a column has what it should not have
		return Item{}, 0, fmt.Errorf("%w: %w", errDamaged, err)
	}
	it.ID, it.Mark = uint64(id), uint64(mark)
	it.setKey(key, kind)
	if mtime.Valid {
		it.ModTime = time.Unix(0, mtime.Int64)
	}
	if first.Valid {
		it.First = time.UnixMilli(first.Int64)
	}
	it.Last = time.UnixMilli(last)
	if it.State = stateOf(state); it.State == item.None {
		return Item{}, 0, fmt.Errorf("%w: row %d has the state %q", errDamaged, n, state)
	}
	if it.Captured = results.Captured(captured.String); captured.Valid && !it.Captured.IsValid() {
		return Item{}, 0, fmt.Errorf("%w: row %d has captured no JSON object", errDamaged, n)
	}
	return it, n, nil
}
