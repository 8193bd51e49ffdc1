package outbox

import (
	"context"
	"database/sql"
	"runtime"
	"time"

	"github.com/penstock/penstock/internal/dbfile"
)

const (
	// crowd is how many changes share a commit at most: those that come meanwhile wait for it.
	crowd = 256
	// patience is the time between two attempts to write what must be written.
	patience = time.Second
)

// An op is a change of the store.
type op struct {
	// do makes the change. It may be called again if the transaction fails, and must change nothing
	// if it refuses.
	do   func(*writer) error
	then func()     // called with Store.mu held when the change is on disk; it may be nil
	must bool       // it is tried until it succeeds, or the store is closed
	err  error      // why it was refused
	done chan error // holds one
}

// do has the writer make a change, and returns when that is on disk.
func (s *Store) do(o *op) error {
	s.mu.Lock()
	s.enqueueLocked(o)
	s.mu.Unlock()
	return s.wait(o)
}

func (s *Store) enqueueLocked(o *op) {
	o.done = make(chan error, 1)
	if s.closed {
		o.done <- ErrClosed
		return
	}
	s.queue = append(s.queue, o)
}

// wait returns when a change that was enqueued is on disk.
func (s *Store) wait(o *op) error {
	s.poke()
	return fault(s.dir, <-o.done)
}

func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// A writer owns the connection. Its methods run in one goroutine.
type writer struct {
	s     *Store
	stmts map[string]*sql.Stmt
	owed  []*op // what could not be written, and must be
}

func newWriter(s *Store) (*writer, error) {
	w := &writer{s: s, stmts: make(map[string]*sql.Stmt)}
	_, err := w.prepare(insertEntry)
	return w, err
}

// prepare returns a statement, which is prepared once.
func (w *writer) prepare(query string) (*sql.Stmt, error) {
	if st := w.stmts[query]; st != nil {
		return st, nil
	}
	st, err := w.s.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.stmts[query] = st
	}
	return st, err
}

// exec runs a statement.
func (w *writer) exec(query string, args ...any) error {
	st, err := w.prepare(query)
	if err == nil {
		_, err = st.ExecContext(context.Background(), args...)
	}
	return err
}

// entry returns the row of an ID as it is in the transaction.
func (w *writer) entry(id string) (Entry, error) {
	st, err := w.prepare(selectByID)
	if err != nil {
		return Entry{}, err
	}
	seq, token := parseID(id)
	return scanEntry(st.QueryRowContext(context.Background(), seq, token).Scan)
}

// run writes what waits, one transaction at a time, until the store is closed.
func (w *writer) run() {
	for closed := false; !closed; {
		var again <-chan time.Time
		if len(w.owed) > 0 {
			again = time.After(patience)
		}
		select {
		case <-w.s.wake:
		case <-again:
		}
		for more := true; more; {
			w.gather()
			var batch []*op
			batch, more, closed = w.s.batch()
			batch = append(w.owed, batch...)
			w.owed = nil
			w.write(batch)
		}
	}
	for _, o := range w.owed {
		w.s.mu.Lock()
		w.s.lost = w.s.err
		w.s.mu.Unlock()
		o.done <- w.s.lost
	}
	for _, st := range w.stmts {
		st.Close()
	}
}

// gather lets those enqueue their changes that are about to: a commit costs as much for many as for
// one. Where no other goroutine has work to do that takes no time.
func (w *writer) gather() {
	for before, now := -1, 0; now > before && now < crowd; {
		before = now
		runtime.Gosched()
		w.s.mu.Lock()
		now = len(w.s.queue)
		w.s.mu.Unlock()
	}
}

// batch takes out what shares the next commit. More says that something is left.
func (s *Store) batch() (batch []*op, more, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.queue), crowd)
	batch = s.queue[:n:n]
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
	return batch, len(s.queue) > 0, s.closed
}

// write commits changes. If that fails, each is tried alone: some may need less room than others,
// or make some.
func (w *writer) write(ops []*op) {
	if len(ops) == 0 {
		return
	}
	err := fault(w.s.dir, w.transact(ops))
	if err != nil && len(ops) > 1 {
		for i := range ops {
			w.write(ops[i : i+1])
		}
		return
	}
	w.s.mu.Lock()
	w.s.err = err
	for _, o := range ops {
		if err == nil && o.err == nil && o.then != nil {
			o.then()
		}
	}
	w.s.mu.Unlock()
	for _, o := range ops {
		switch {
		case err == nil:
			o.done <- o.err
		case o.must:
			w.owed = append(w.owed, o)
		default:
			o.done <- err
		}
	}
}

// transact makes changes in one transaction.
func (w *writer) transact(ops []*op) (err error) {
	defer dbfile.Guard(&err)()
	defer func() {
		if err != nil { // SQLite may have done so itself
			w.s.conn.ExecContext(context.Background(), "ROLLBACK")
		}
	}()
	if err := w.s.intact(); err != nil {
		return err
	}
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, o := range ops {
		if o.err = o.do(w); o.err != nil && !refusal(o.err) {
			return o.err
		}
	}
	return w.exec("COMMIT")
}
