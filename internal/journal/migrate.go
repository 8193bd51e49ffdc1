package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/penstock/penstock/internal/dbfile"
)

// steps has, for each earlier version, what makes the next one of it. The schema's texts are those
// of [tables]. Where ALTER TABLE would leave another text, the rows are copied.
var steps = map[int]string{
	// It was not recorded whether the server may have another content, nor for how long servers
	// have asked to be left alone. For what was not delivered the first has to be assumed.
	1: "ALTER TABLE item RENAME TO item_old;" + tables(2)["item"] + `;
	INSERT INTO item SELECT *, state <> 'delivered' FROM item_old;
	DROP TABLE item_old;` + tables(2)["wait"],

	// Nor whether results selected what a run sent.
	2: "ALTER TABLE run RENAME TO run_old;" + tables(3)["run"] + `;
	INSERT INTO run SELECT *, 0 FROM run_old; DROP TABLE run_old`,

	// All items were files, identified by where they are.
	3: "ALTER TABLE item RENAME COLUMN place TO mark",

	// Nothing of an answer was kept. A new column at the end needs no copy of the rows.
	4: "ALTER TABLE item ADD COLUMN captured TEXT",

	// Every run was for all items.
	5: "ALTER TABLE run ADD COLUMN shard TEXT NOT NULL DEFAULT '';" + createShard,
}

// tables returns the texts that a version's schema has for its tables.
func tables(version int) map[string]string {
	t := map[string]string{"item": createItem, "run": createRun, "wait": createWait,
		"shard": createShard}
	if version < 6 {
		delete(t, "shard")
		t["run"] = strings.Replace(t["run"], ", shard TEXT NOT NULL DEFAULT ''", "", 1)
	}
	if version < 5 {
		t["item"] = strings.Replace(t["item"], ", captured TEXT", "", 1)
	}
	if version < 4 {
		t["item"] = strings.Replace(t["item"], "\tmark ", "\tplace ", 1)
	}
	if version < 3 {
		t["run"] = strings.Replace(t["run"], ",\n\tby_results INTEGER NOT NULL", "", 1)
	}
	if version < 2 {
		t["item"] = strings.Replace(t["item"], ",\n\tolder INTEGER NOT NULL", "", 1)
		delete(t, "wait")
	}
	return t
}

// ofVersion makes a query of columns one that a version of the schema can answer.
func ofVersion(version int, query string) string {
	if version < 6 {
		query = strings.Replace(query, "shard", "''", 1)
	}
	if version < 5 {
		query = strings.Replace(query, "captured", "NULL", 1)
	}
	if version < 4 {
		query = strings.Replace(query, " mark", " place", 1)
	}
	if version < 3 {
		query = strings.Replace(query, "by_results", "0", 1)
	}
	if version < 2 {
		query = strings.Replace(query, "older", "state <> 'delivered'", 1)
	}
	return query
}

// checkSchema returns the version of the schema. It fails unless the tables are those of that
// version.
func checkSchema(ctx context.Context, conn *dbfile.Conn) (v int, err error) {
	// The header that readHeader has seen may be older than what a log beside it holds.
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return 0, err
	}
	if err := checkVersion(v); err != nil {
		return 0, err
	}
	for name, want := range tables(v) {
		var got string
		err := conn.QueryRowContext(ctx,
			`SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?`, name).Scan(&got)
		if errors.Is(err, sql.ErrNoRows) || err == nil && got != want {
			return 0, fmt.Errorf("%w: no table %q as it should be", errDamaged, name)
		}
		if err != nil {
			return 0, err
		}
	}
	return v, nil
}

func checkVersion(v int) error {
	switch {
	case v > version:
		return fmt.Errorf("%w (journal version %d)", errNewer, v)
	case v < 1:
		return fmt.Errorf("%w: journal version %d", errDamaged, v)
	}
	return nil
}

// migrate brings a file of an earlier version to this one, or leaves it as it was.
func migrate(ctx context.Context, conn *dbfile.Conn, from int) error {
	if from == version {
		return nil
	}
	all := []string{"BEGIN IMMEDIATE; DROP VIEW IF EXISTS items"}
	for v := from; v < version; v++ {
		all = append(all, steps[v])
	}
	all = append(all, createItems, fmt.Sprintf("PRAGMA user_version=%d; COMMIT", version))
	_, err := conn.ExecContext(ctx, strings.Join(all, ";\n"))
	if err != nil {
		conn.ExecContext(ctx, "ROLLBACK") // SQLite may have done so itself
	}
	return err
}
