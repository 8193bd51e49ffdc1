package journal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
)

const (
	queueSize = 256 // rows that may wait for their commit before Put blocks

	// After a commit the writer rests, unless a crowd of rows has come together or somebody waits
	// for it. At a hundred commits a second the disk costs about one per cent of a CPU; a commit
	// for every 24 rows cost more than all else for these rows.
	rest  = 10 * time.Millisecond
	crowd = queueSize / 2
)

// entry is a row on its way to the disk.
type entry struct {
	Item
	n     int64
	begin bool // dropped if it cannot be written: nothing was sent yet
	done  func(error)
}

// writer owns the connection. Its methods run in one goroutine.
type writer struct {
	j      *Journal
	conn   *dbfile.Conn
	o      Options
	begin  *sql.Stmt
	upsert *sql.Stmt
	commit *sql.Stmt
	row    *sql.Stmt
	kept   []entry   // what could not be written
	rested time.Time // when the last commit ended
}

func newWriter(j *Journal, o Options) (*writer, error) {
	conn := j.conn
	w := &writer{j: j, conn: conn, o: o}
	var err error
	prepare := func(query string) *sql.Stmt {
		s, err1 := conn.PrepareContext(context.Background(), query)
		err = cmp.Or(err, err1)
		return s
	}
	w.begin, w.upsert, w.commit = prepare("BEGIN IMMEDIATE"), prepare(upsertItem), prepare("COMMIT")
	w.row = prepare(selectItems + " WHERE n = ?")
	if err != nil {
		w.close()
	}
	return w, err
}

// close frees the statements. Closing the connection would not do that, and would leave the file
// open.
func (w *writer) close() {
	for _, s := range []*sql.Stmt{w.begin, w.upsert, w.commit, w.row} {
		if s != nil {
			s.Close()
		}
	}
}

// run writes what waits as long as there is something, one transaction at a time, until the journal
// is closed.
func (w *writer) run() {
	j := w.j
	var batch []entry
	for closed := false; !closed; {
		<-j.wake
		for more := true; more; {
			clear(batch)
			w.gather()
			j.mu.Lock()
			asks, waits := j.asks, j.keep
			batch, j.waiting = j.waiting, batch[:0]
			j.asks, j.keep, j.urgent = nil, nil, false
			closed = j.closed
			begun := j.begun
			j.mu.Unlock()
			if begun && j.run == 0 && j.Err() == nil {
				if err := fault(j.path, w.enter()); err != nil {
					j.fail(err)
				}
			}
			more = len(batch)+len(asks)+len(waits) > 0
			if err := fault(j.path, w.keep(waits)); err != nil {
				j.fail(err)
			}
			w.write(batch)
			for _, do := range asks {
				do(w)
			}
		}
	}
	w.retry()
	j.moved = w.intact() // nothing may have been written for hours
	w.close()
}

// gather lets rows come together, since a commit costs as much for many as for one. First it lets
// those put theirs that are about to; where no other goroutine has work to do that takes no time.
// Then, soon after a commit, it waits for a crowd.
func (w *writer) gather() {
	for before, now := -1, 0; now > before && now < crowd; {
		before = now
		runtime.Gosched()
		now, _ = w.j.pending()
	}
	for {
		left := rest - time.Since(w.rested)
		if rows, urgent := w.j.pending(); left <= 0 || rows == 0 || rows >= crowd || urgent {
			return
		}
		select {
		case <-w.j.wake:
		case <-time.After(left):
		}
	}
}

// pending returns how many rows wait for their commit, and whether a caller waits for the writer.
func (j *Journal) pending() (rows int, urgent bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.waiting), j.urgent || len(j.asks)+len(j.keep) > 0 || j.closed
}

// write commits rows, or keeps them.
func (w *writer) write(batch []entry) {
	if len(batch) == 0 {
		return
	}
	err := w.j.Err()
	if err == nil {
		err = fault(w.j.path, w.transact(batch))
		w.rested = time.Now()
		if err != nil {
			w.j.fail(err)
		}
	}
	if err == nil {
		for range batch {
			<-w.j.slots
		}
		w.finish(batch, nil)
		return
	}
	for _, e := range batch {
		if e.begin {
			e.done(err)
		} else {
			w.kept = append(w.kept, e)
		}
	}
}

// retry tries once more what could not be written, and gives up what cannot be written now.
func (w *writer) retry() (err error) {
	for len(w.kept) > 0 {
		chunk := w.kept[:min(len(w.kept), queueSize)]
		if err == nil {
			if err = fault(w.j.path, w.transact(chunk)); err != nil {
				w.j.lost = err
			}
		}
		w.finish(chunk, err)
		w.kept = w.kept[len(chunk):]
	}
	return err
}

func (w *writer) finish(batch []entry, err error) {
	for _, e := range batch {
		if e.done != nil {
			e.done(err)
		}
	}
}

// transact writes rows in one transaction.
func (w *writer) transact(batch []entry) (err error) {
	defer dbfile.Guard(&err)()
	if err := w.enter(); err != nil {
		return err
	}
	if err := w.intact(); err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return err
	}
	for i := range batch {
		if err = w.put(ctx, batch[i].n, &batch[i].Item); err != nil {
			break
		}
	}
	if err == nil {
		_, err = w.commit.ExecContext(ctx)
	}
	if err != nil {
		w.conn.ExecContext(ctx, "ROLLBACK") // SQLite may have done so itself
	}
	return err
}

// put writes the row n.
func (w *writer) put(ctx context.Context, n int64, e *Item) error {
	key, kind := e.keyColumns()
	_, err := w.upsert.ExecContext(ctx, n, int64(e.ID), e.Size, nanos(e.ModTime),
		int64(e.Mark), e.State.String(), e.Doubt, kind, e.Attempts, millis(e.First),
		e.Last.UnixMilli(), e.HTTPStatus, e.Method, e.Path, e.Rel, e.URL, key, e.Error,
		digest(e.Digest), e.Older, captured(e.Captured))
	return err
}

// enter notes that the run has begun, once.
func (w *writer) enter() (err error) {
	if w.j.run != 0 {
		return nil
	}
	defer dbfile.Guard(&err)()
	if err := w.intact(); err != nil {
		return err
	}
	started := w.o.Started
	if started.IsZero() {
		started = time.Now()
	}
	ctx := context.Background()
	s, shard := w.o.Shard, ""
	if !s.IsWhole() { // before the run, which would else be one for all items
		of := w.j.shards.incomplete().with(s)
		if !slices.Equal(of, w.j.shards) {
			if err := writeShards(ctx, w.conn, of); err != nil {
				return err
			}
		}
		shard = s.String()
	}
	r, err := w.conn.ExecContext(ctx, `INSERT INTO run
		(started, target, method, command, version, by_results, shard) VALUES (?,?,?,?,?,?,?)`,
		started.UnixMilli(), w.o.Target, w.o.Method, w.o.Command, w.o.Version, w.o.ByResults,
		shard)
	if err != nil {
		return err
	}
	w.j.run, err = r.LastInsertId()
	return err
}

// intact fails if one of the journal's files was removed or replaced. SQLite would go on writing to
// files that have no names any more, and without the lock another run may begin.
func (w *writer) intact() error {
	err := w.j.files.Intact()
	if err == nil && w.j.lock.Removed() {
		err = fmt.Errorf("%w: its lock %s", errReplaced, w.j.lock.Path())
	}
	return err
}

func digest(d []byte) any {
	if len(d) == 0 {
		return nil
	}
	return d
}

func (w *writer) load(n int64) (it Item, err error) {
	if err := w.j.Err(); err != nil {
		return Item{}, err
	}
	defer dbfile.Guard(&err)()
	it, _, err = scanItem(w.row.QueryRowContext(context.Background(), n).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: row %d is gone", errDamaged, n)
	}
	return it, err
}
