package journal

import (
	"context"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
)

// Wait is how long a server has asked not to be sent anything.
type Wait struct {
	Origin string    // scheme and host of the server
	Asked  time.Time // when it did, to the millisecond
	Until  time.Time
}

// mostWaits bounds what is read of a damaged or a very busy journal.
const mostWaits = 4096

const (
	// shortWait is over before a user starts another run.
	shortWait = 5 * time.Second
	// longWait is the longest that later runs obey. A longer one is more likely a fault of the
	// server, and would stop every run until somebody removes the journal.
	longWait = 48 * time.Hour
)

// KeepWait records a wait soon, in the place of the one before for that origin, unless it is short.
func (j *Journal) KeepWait(w Wait) {
	if w.Until.Sub(w.Asked) < shortWait {
		return
	}
	if most := w.Asked.Add(longWait); w.Until.After(most) {
		w.Until = most
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.beginLocked()
		j.keep = append(j.keep, w)
		j.poke()
	}
}

// Waits returns the waits that are not over.
func (r *Reader) Waits() (waits []Wait, err error) {
	defer r.fault(&err)
	defer dbfile.Guard(&err)()
	return readWaits(context.Background(), r.conn, r.version)
}

// readWaits returns the waits that are not over.
func readWaits(ctx context.Context, conn *dbfile.Conn, version int) (waits []Wait, err error) {
	if version < 2 {
		return nil, nil
	}
	now := time.Now()
	err = each(ctx, conn, func(scan scanFunc) error {
		var w Wait
		var asked, until int64
		err := scan(&w.Origin, &asked, &until)
		w.Asked, w.Until = time.UnixMilli(asked), time.UnixMilli(until)
		if w.Asked.After(now) {
			w.Until = now.Add(w.Until.Sub(w.Asked))
		}
		waits = append(waits, w)
		return err
	}, "SELECT origin, asked, until FROM wait WHERE until > ? LIMIT ?", now.UnixMilli(), mostWaits)
	return waits, err
}

// keep writes the last wait of each origin in one transaction, and drops those that are over.
func (w *writer) keep(waits []Wait) (err error) {
	if len(waits) == 0 || w.j.Err() != nil {
		return nil
	}
	defer dbfile.Guard(&err)()
	if err := w.intact(); err != nil {
		return err
	}
	last := make(map[string]Wait)
	for _, wait := range waits {
		last[wait.Origin] = wait
	}
	ctx := context.Background()
	tx, err := w.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, "DELETE FROM wait WHERE until <= ?", time.Now().UnixMilli())
	if err != nil {
		return err
	}
	for origin, wait := range last {
		until := wait.Until.Add(time.Millisecond - 1).UnixMilli() // not before
		if _, err := tx.ExecContext(ctx, "REPLACE INTO wait (origin, asked, until) VALUES (?,?,?)",
			origin, wait.Asked.UnixMilli(), until); err != nil {
			return err
		}
	}
	return tx.Commit()
}
