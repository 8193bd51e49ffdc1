package journal

import (
	"context"
	"database/sql"
	"errors"
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
	ByResults      bool   // its items were selected by results
	Shard          string // "2/5"; empty for all items
}

// Runs returns what is noted of all runs, the first one first.
func (r *Reader) Runs() (runs []Run, err error) {
	defer r.fault(&err)
	defer dbfile.Guard(&err)()
	err = each(context.Background(), r.conn, func(scan scanFunc) error {
		var run Run
		var started int64
		var finished, status sql.NullInt64
		err := scan(&started, &finished, &status,
			&run.Target, &run.Method, &run.Command, &run.Version,
			&run.ByResults, &run.Shard)
		run.Started = time.UnixMilli(started)
		if finished.Valid {
			run.Finished = time.UnixMilli(finished.Int64)
		}
		run.ExitStatus = int(status.Int64)
		runs = append(runs, run)
		return err
	}, ofVersion(r.version, `SELECT started, finished, exit_status, target, method, command,
		version, by_results, shard FROM run ORDER BY started, n`))
	return runs, err
}

// readRuns returns what the journal notes of its runs.
func readRuns(ctx context.Context, conn *dbfile.Conn, version int) (info Info, err error) {
	var started int64
	var finished, last sql.NullInt64
	err = conn.QueryRowContext(ctx, ofVersion(version, `SELECT (SELECT count(*) FROM run),
		started, finished, target, method, command, by_results FROM run
		ORDER BY started DESC, n DESC LIMIT 1`)).
		Scan(&info.Runs, &started, &finished,
			&info.Target, &info.Method, &info.Command, &info.ByResults)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return info, nil
	case finished.Valid:
		info.Last = time.UnixMilli(finished.Int64)
	case err == nil:
		info.Killed = true
		err = conn.QueryRowContext(ctx, "SELECT max(last) FROM item").Scan(&last)
		info.Last = time.UnixMilli(max(started, last.Int64))
	}
	return info, err
}
