package journal

import (
	"context"
	"database/sql"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
)

// Run is what a journal notes of a run.
type Run struct {
	Started        time.Time
	Finished       time.Time // if zero, it goes on, or was killed
	ExitStatus     int
	Target, Method string
	Command        string
	Version        string // of the program
}

// Runs returns what is noted of all runs, the first one first.
func (r *Reader) Runs() ([]Run, error) {
	runs, err := r.runs()
	return runs, readFault(r.path, err)
}

func (r *Reader) runs() (runs []Run, err error) {
	defer dbfile.Guard(&err)()
	rows, err := r.conn.QueryContext(context.Background(), `SELECT started, finished, exit_status,
		target, method, command, version FROM run ORDER BY n`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var run Run
		var started int64
		var finished, status sql.NullInt64
		if err := rows.Scan(&started, &finished, &status,
			&run.Target, &run.Method, &run.Command, &run.Version); err != nil {
			return nil, err
		}
		run.Started = timeOfMillis(started)
		if finished.Valid {
			run.Finished = timeOfMillis(finished.Int64)
		}
		run.ExitStatus = int(status.Int64)
		runs = append(runs, run)
	}
	return runs, rows.Err()
}

// readRuns adds to e what the journal notes of its runs.
func readRuns(ctx context.Context, conn *dbfile.Conn, e Earlier) (Earlier, error) {
	row := conn.QueryRowContext(ctx, "SELECT count(*) FROM run")
	if err := row.Scan(&e.Runs); err != nil || e.Runs == 0 {
		return e, err
	}
	var started int64
	var finished, last sql.NullInt64
	row = conn.QueryRowContext(ctx, "SELECT started, finished FROM run ORDER BY n DESC LIMIT 1")
	if err := row.Scan(&started, &finished); err != nil {
		return e, err
	}
	if finished.Valid {
		e.Last = timeOfMillis(finished.Int64)
		return e, nil
	}
	e.Killed = true
	if err := conn.QueryRowContext(ctx, "SELECT max(last) FROM item").Scan(&last); err != nil {
		return e, err
	}
	e.Last = timeOfMillis(max(started, last.Int64))
	return e, nil
}
