package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"modernc.org/sqlite"

	"github.com/penstock/penstock/internal/dbfile"
)

const (
	applicationID = 0x70736b6f // "psko", in the header of the file
	version       = 1          // of the schema: user_version
)

// Bodies and answers have tables of their own: to list requests need not read them. Times are
// milliseconds, 0 for none.
const schema = `CREATE TABLE request (
	seq INTEGER PRIMARY KEY,
	state TEXT NOT NULL,
	token TEXT NOT NULL,
	client TEXT NOT NULL,
	target TEXT NOT NULL,
	accepted INTEGER NOT NULL,
	due INTEGER NOT NULL,
	last INTEGER NOT NULL,
	first INTEGER NOT NULL,
	ended INTEGER NOT NULL,
	size INTEGER NOT NULL,
	in_file INTEGER NOT NULL,
	answer INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	status INTEGER NOT NULL,
	method TEXT NOT NULL,
	uri TEXT NOT NULL,
	header TEXT NOT NULL,
	key TEXT NOT NULL,
	reason TEXT NOT NULL,
	digest BLOB NOT NULL
);
CREATE TABLE body (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE answer (
	seq INTEGER PRIMARY KEY,
	header TEXT NOT NULL,
	body BLOB NOT NULL,
	cut INTEGER NOT NULL
);
CREATE INDEX delivered ON request (ended) WHERE state = 'delivered'`

const (
	columns = "seq, state, token, client, target, accepted, due, last, first, ended, size, " +
		"in_file, answer, attempts, status, method, uri, header, key, reason, digest"
	selectEntry = "SELECT " + columns + " FROM request"
	insertEntry = "INSERT INTO request (" + columns + ") VALUES " +
		"(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)

// create makes the schema in an empty file. Pages that are not in use can be given back to the file
// system.
func create(ctx context.Context, conn *dbfile.Conn) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA page_size=%d;
		PRAGMA auto_vacuum=INCREMENTAL; BEGIN IMMEDIATE; PRAGMA application_id=%d;
		PRAGMA user_version=%d; %s; COMMIT`,
		dbfile.PageSize, applicationID, version, schema))
	return err
}

// readHeader looks at a file before SQLite does.
func readHeader(path string) (dbfile.Header, error) {
	h, err := dbfile.ReadHeader(path, applicationID)
	if err == nil && h.Size > 0 {
		err = checkVersion(h.Version)
	}
	return h, err
}

func checkVersion(v int) error {
	switch {
	case v > version:
		return fmt.Errorf("%w (store version %d)", errNewer, v)
	case v < 1:
		return fmt.Errorf("%w: store version %d", dbfile.ErrDamaged, v)
	}
	return nil
}

// checkSchema fails if a file has another version, which its log may have brought.
func checkSchema(ctx context.Context, conn *dbfile.Conn) error {
	var v int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return err
	}
	return checkVersion(v)
}

// scanFunc is sql.Rows.Scan, or that of a row.
type scanFunc = func(...any) error

// scanEntry reads a row of columns. The error is ErrNotFound if there is none.
func scanEntry(scan scanFunc) (e Entry, err error) {
	var accepted, due, last, first, ended int64
	err = scan(&e.Seq, &e.State, &e.token, &e.Client, &e.Target, &accepted, &due, &last, &first,
		&ended, &e.Size, &e.inFile, &e.answer, &e.Attempts, &e.Status, &e.Method, &e.URI, &e.head,
		&e.Key, &e.Reason, &e.digest)
	if json.Unmarshal(e.head, &e.Header) != nil {
		e.Header = nil // only its own request fails: by the digest
	}
	if err != nil {
		return Entry{}, scanFault(err)
	}
	if !slices.Contains(States, e.State) { // it says nothing of the other requests
		e.Reason = fmt.Sprintf("its state in the store is not known: %.40q", e.State)
		e.State = Unknown
	}
	e.ID = idOf(e.Seq, e.token)
	e.Accepted, e.Due, e.last = timeOf(accepted), timeOf(due), timeOf(last)
	e.First, e.Ended = timeOf(first), timeOf(ended)
	return e, nil
}

// scanFault is the error of a row that could not be read.
func scanFault(err error) error {
	var se *sqlite.Error
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case err == nil, errors.As(err, &se):
		return err
	}
	return fmt.Errorf("%w: %w", dbfile.ErrDamaged, err) // a column has what it should not have
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
