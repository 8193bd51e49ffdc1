package journal

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/penstock/penstock/internal/dbfile"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/lockfile"
)

// A Merged is what has come of one journal into another.
type Merged struct {
	Path    string
	Items   int64 // that it has
	New     int64 // of these, those that the other did not have
	Changed int64 // those of which more is known now
}

// A JobError says that two journals are of different work.
type JobError struct{ Path, Job, Other, OtherJob string }

func (e *JobError) Error() string {
	return fmt.Sprintf("journal %s is of %s, and %s of %s: only journals of the same work can be "+
		"merged", e.Path, e.Job, e.Other, e.OtherJob)
}

// Merge has the journal into, which may be new, know all that the others know, each in one
// transaction: what is delivered holds, or else what may have arrived, else what failed; of equals,
// and of different contents, the later. Command makes the command of a run of theirs one that goes
// on with into.
//
// Nothing is done unless all can be read, none is in use (else the error is an [*InUseError]), and
// all are of the same work (else it is a [*JobError]). Where it fails later, or ctx ends, it
// returns those that are merged; to merge them again does no harm. What it returns of a journal
// holds only for the others in the order in which they are given.
func Merge(
	ctx context.Context, into string, from []string, command func(Run) string,
) (done []Merged, err error) {
	var sources []*Reader
	defer func() {
		for _, r := range sources {
			r.Close()
		}
	}()
	var job Info
	for _, path := range from {
		r, err := OpenReader(path)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(sources, func(s *Reader) bool { return s.real == r.real }) {
			release, err := r.hold(ctx)
			if err != nil {
				r.Close()
				return nil, readFault(path, err)
			}
			defer release()
		}
		sources = append(sources, r)
		if err := r.checkJob(&job); err != nil {
			return nil, readFault(path, err)
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("journal %s: %w", into, context.Cause(ctx))
	}
	j, err := Open(ctx, Options{Path: into, anyShard: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if len(done) > 0 { // else what Open has made goes
			j.newFile, j.newLock, j.made = false, false, nil
		}
		if closed := j.Close(0); err == nil {
			err = closed
		}
	}()
	if err := j.outdate(sources, &job); err != nil {
		return nil, err
	}
	for _, r := range sources {
		m := Merged{Path: r.path}
		var merged error
		asked := j.ask(func(w *writer) { merged = w.merge(ctx, r, &m, command) })
		switch {
		case asked != nil:
			return done, asked
		case merged != nil && ctx.Err() != nil:
			return done, fmt.Errorf("journal %s: %w", into, context.Cause(ctx))
		case merged != nil:
			return done, fault(j.path, merged)
		}
		done = append(done, m)
	}
	return done, nil
}

// outdate notes which divisions a journal is no longer complete of until others are merged: those
// of which they have new runs.
func (j *Journal) outdate(sources []*Reader, job *Info) error {
	if j.newFile {
		return nil
	}
	own, err := OpenReader(j.path)
	if err != nil {
		return err
	}
	defer own.Close()
	if err := own.checkJob(job); err != nil {
		return err
	}
	runs, err := own.Runs()
	if err != nil {
		return err
	}
	for _, r := range sources {
		theirs, err := r.Runs()
		if err != nil {
			return err
		}
		for _, run := range theirs {
			isOurs := func(r Run) bool {
				return r.Started.Equal(run.Started) && r.Finished.Equal(run.Finished) &&
					r.Version == run.Version && r.Shard == run.Shard
			}
			s, err := item.ParseShard(run.Shard)
			if err == nil && !slices.ContainsFunc(runs, isOurs) {
				j.shards = j.shards.reopen(s.Of)
			}
		}
	}
	return nil
}

// hold keeps runs from using a journal that is read, until release is called; where it cannot be
// locked it is enough that none uses it now.
func (r *Reader) hold(ctx context.Context) (release func() error, err error) {
	missing := isMissing(r.real + lockfile.Suffix)
	lock, err := lockfile.Take(ctx, r.real, false)
	switch {
	case err == nil && missing:
		return lock.Remove, nil
	case err == nil:
		return lock.Close, nil
	case lockfile.Held(r.real) || ctx.Err() != nil:
		return nil, err // it says which run
	}
	return func() error { return nil }, nil
}

// checkJob returns a [*JobError] unless the journal is of the same work as job, which is that of
// the first one that has any.
func (r *Reader) checkJob(job *Info) error {
	info, err := readRuns(context.Background(), r.conn, r.version)
	info.Path = r.path
	switch {
	case err != nil:
		return readFault(r.path, err)
	case info.Runs == 0:
	case job.Runs == 0:
		*job = info
	case info.Target != job.Target || info.Method != job.Method:
		return &JobError{job.Path, job.Method + " " + job.Target,
			info.Path, info.Method + " " + info.Target}
	}
	return nil
}

// merge adds what a journal knows in one transaction. If it fails, the index is no longer that of
// the file.
func (w *writer) merge(
	ctx context.Context, r *Reader, m *Merged, command func(Run) string,
) (err error) {
	defer dbfile.Guard(&err)()
	if err := w.intact(); err != nil {
		return err
	}
	// Those of ctx would roll back by themselves, at any time.
	all := context.Background()
	if _, err := w.begin.ExecContext(all); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.conn.ExecContext(all, "ROLLBACK") // SQLite may have done so itself
		}
	}()
	for it, err := range r.Items(0) {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = w.mergeItem(it, m)
		}
		if err != nil {
			return err
		}
	}
	if err := w.mergeRuns(r, command); err != nil {
		return err
	}
	_, err = w.commit.ExecContext(all)
	return err
}

func (w *writer) mergeItem(it Item, m *Merged) error {
	m.Items++
	j := w.j
	j.mu.Lock()
	defer j.mu.Unlock() // for the index; nobody else has this journal
	e := j.index.put(it.ID)
	n := e.n()
	if n == 0 {
		n = j.next
		j.next++
		m.New++
	} else {
		before, _, err := scanItem(w.row.QueryRowContext(context.Background(), n).Scan)
		if err != nil {
			return err
		}
		if it = join(before, it); reflect.DeepEqual(it, before) {
			return nil
		}
		m.Changed++
	}
	e.setRow(n, it.print(), it.State, it.Captured != "")
	return w.put(context.Background(), n, &it)
}

// mergeRuns adds what else a journal has: its runs, the waits that servers asked for, and which
// shards it is of.
func (w *writer) mergeRuns(r *Reader, command func(Run) string) error {
	ctx := context.Background()
	runs, err := r.Runs()
	if err != nil {
		return err
	}
	for _, run := range runs {
		_, err := w.conn.ExecContext(ctx, `INSERT INTO run
			(started, finished, exit_status, target, method, command, version, by_results, shard)
			SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9 WHERE NOT EXISTS (SELECT 1 FROM run
			WHERE started = ?1 AND finished IS ?2 AND version = ?7 AND shard = ?9)`,
			run.Started.UnixMilli(), millis(run.Finished), run.status(), run.Target, run.Method,
			command(run), run.Version, run.ByResults, run.Shard)
		if err != nil {
			return err
		}
	}
	waits, err := r.Waits()
	if err != nil {
		return err
	}
	for _, wait := range waits {
		_, err := w.conn.ExecContext(ctx, `INSERT INTO wait (origin, asked, until) VALUES (?,?,?)
			ON CONFLICT (origin) DO UPDATE SET asked = excluded.asked, until = excluded.until
			WHERE excluded.asked > asked`,
			wait.Origin, wait.Asked.UnixMilli(), wait.Until.UnixMilli())
		if err != nil {
			return err
		}
	}
	theirs, err := readShards(ctx, r.conn, r.version)
	if err != nil {
		return err
	}
	w.j.shards = w.j.shards.with(theirs...)
	return writeShards(ctx, w.conn, w.j.shards)
}

// status is what the file has for the exit status.
func (r Run) status() any {
	if r.Finished.IsZero() {
		return nil
	}
	return r.ExitStatus
}

// Same reports whether two names are of one journal.
func Same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
