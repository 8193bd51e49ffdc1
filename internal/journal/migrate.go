package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// createItem1 is the table of version 1.
const createItem1 = `CREATE TABLE item (
	n INTEGER PRIMARY KEY,
	id INTEGER NOT NULL,
	size INTEGER NOT NULL,
	mtime INTEGER,
	place INTEGER NOT NULL,
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
	digest BLOB
)`

// createRun2 is the table of versions 1 and 2.
const createRun2 = `CREATE TABLE run (
	n INTEGER PRIMARY KEY,
	started INTEGER NOT NULL,
	finished INTEGER,
	exit_status INTEGER,
	target TEXT NOT NULL,
	method TEXT NOT NULL,
	command TEXT NOT NULL,
	version TEXT NOT NULL
)`

// columnsOf returns itemColumns as a version of the schema has them. Version 1 did not record whether the server may have
// another content. For everything that was not delivered this has to be assumed.
func columnsOf(version int) string {
	if version == 1 {
		return strings.TrimSuffix(itemColumns, "older") + "state <> 'delivered' AS older"
	}
	return itemColumns
}

// checkSchema returns the version of the schema. It fails unless the tables are those of that version.
func checkSchema(ctx context.Context, conn *sql.Conn) (v int, err error) {
	// The header that readHeader has seen may be older than what a log beside it holds.
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return 0, err
	}
	tables := map[string]string{"item": createItem, "run": createRun, "wait": createWait}
	switch {
	case v == 1:
		tables = map[string]string{"item": createItem1, "run": createRun2}
	case v == 2:
		tables["run"] = createRun2
	case v > version:
		return 0, fmt.Errorf("%w (journal version %d)", errNewer, v)
	case v < version:
		return 0, fmt.Errorf("%w: journal version %d", errDamaged, v)
	}
	for name, want := range tables {
		var got string
		err := conn.QueryRowContext(ctx, `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?`, name).Scan(&got)
		if errors.Is(err, sql.ErrNoRows) || err == nil && got != want {
			return 0, fmt.Errorf("%w: no table %q as it should be", errDamaged, name)
		}
		if err != nil {
			return 0, err
		}
	}
	return v, nil
}

// byResults returns the column by_results as a version of the schema has it. Before version 3 it was not recorded.
func byResults(version int) string {
	if version < 3 {
		return "0"
	}
	return "by_results"
}

// migrate brings a file of an earlier version to this one, or leaves it as it was. The rows are copied: a column that is
// added to a table would leave a text in the schema that is not the one of create.
func migrate(ctx context.Context, conn *sql.Conn, from int) error {
	if from == version {
		return nil
	}
	steps := []string{"BEGIN IMMEDIATE; DROP VIEW IF EXISTS items; ALTER TABLE run RENAME TO run_old", createRun,
		"INSERT INTO run SELECT *, 0 FROM run_old; DROP TABLE run_old"}
	if from == 1 {
		steps = append(steps, "ALTER TABLE item RENAME TO item_old", createItem,
			fmt.Sprintf("INSERT INTO item (%s) SELECT %s FROM item_old; DROP TABLE item_old", itemColumns, columnsOf(from)), createWait)
	}
	steps = append(steps, createItems, fmt.Sprintf("PRAGMA user_version=%d; COMMIT", version))
	_, err := conn.ExecContext(ctx, strings.Join(steps, ";\n"))
	if err != nil {
		conn.ExecContext(ctx, "ROLLBACK") // SQLite may have done so itself
	}
	return err
}
