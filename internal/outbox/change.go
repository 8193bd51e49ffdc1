package outbox

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"
)

// Withdraw removes a request that was not sent. It fails with [ErrNotFound], with [ErrBegun] if the
// request is being sent or has ended, or with an [*Error].
func (s *Store) Withdraw(id string) error {
	return s.remove(id, func(e Entry) error {
		if e.State != Waiting {
			return ErrBegun
		}
		return nil
	})
}

// Drop removes a request that has ended, and what is known of it. It fails with [ErrNotFound], with
// [ErrNotEnded], or with an [*Error].
func (s *Store) Drop(id string) error {
	return s.remove(id, func(e Entry) error {
		if e.State == Waiting || e.State == Sending {
			return ErrNotEnded
		}
		return nil
	})
}

// remove removes a request unless check fails for it.
func (s *Store) remove(id string, check func(Entry) error) error {
	seq, _ := parseID(id)
	var e Entry
	o := &op{
		do: func(w *writer) (err error) {
			if e, err = w.entry(id); err == nil {
				err = check(e)
			}
			if err != nil {
				return err
			}
			return w.remove(e)
		},
		then: func() { s.dropLocked(e) },
	}
	s.mu.Lock()
	if t := s.taken[seq]; t != nil && !t.begun.IsZero() {
		s.mu.Unlock()
		return check(Entry{State: Sending})
	}
	s.ending[seq]++
	s.enqueueLocked(o)
	s.mu.Unlock()
	err := s.wait(o)
	s.mu.Lock()
	if s.ending[seq]--; s.ending[seq] == 0 {
		delete(s.ending, seq)
	}
	s.mu.Unlock()
	if err == nil && e.inFile {
		os.Remove(s.bodyPath(id)) // else the next Open does it
	}
	return err
}

// remove deletes all rows of an entry.
func (w *writer) remove(e Entry) error {
	for _, query := range []string{
		"DELETE FROM request WHERE seq = ?",
		"DELETE FROM body WHERE seq = ?",
		"DELETE FROM answer WHERE seq = ?",
	} {
		if err := w.exec(query, e.Seq); err != nil {
			return err
		}
	}
	return nil
}

// Requeue has a request that has failed or is unknown wait again. It fails with [ErrNotFound], with
// [ErrNotEnded], with [ErrDelivered], or with an [*Error].
func (s *Store) Requeue(id string) error {
	var e Entry
	return s.do(&op{
		do: func(w *writer) (err error) {
			e, err = w.entry(id)
			switch {
			case err != nil:
				return err
			case e.State == Delivered:
				return ErrDelivered
			case e.State == Waiting || e.State == Sending:
				return ErrNotEnded
			}
			return w.exec("UPDATE request SET state = ?, due = 0, first = 0, ended = 0 WHERE seq = ?",
				Waiting, e.Seq)
		},
		then: func() {
			s.dropLocked(e)
			e.State, e.Due = Waiting, time.Time{}
			s.addLocked(e)
		},
	})
}

// Try writes what takes some room, removes it, and returns why that failed or why there is no room
// for new requests, an [*Error]. Without it [Store.Err] would learn only from the next change that
// there is room again.
func (s *Store) Try() error {
	err := s.do(&op{do: func(w *writer) error {
		err := w.exec("INSERT INTO body (seq, data) VALUES (-1, zeroblob(?))", maxInRow)
		if err != nil {
			return err
		}
		return w.exec("DELETE FROM body WHERE seq = -1")
	}})
	return cmp.Or(err, s.room())
}

// pruneAtOnce is how many requests are removed in one change: others wait for that.
const pruneAtOnce = 100

// Prune removes what is known of requests that were delivered before that, and the oldest of those
// that are more than [Options.MaxRequests]. It returns how many these were. It gives what the file
// does not need any more back to the disk, if that is much.
func (s *Store) Prune(before time.Time) (gone int, err error) {
	for {
		s.mu.Lock()
		over := s.counts[Delivered] - s.o.MaxRequests
		s.mu.Unlock()
		var list []Entry
		err := s.do(&op{
			do: func(w *writer) (err error) {
				list, err = w.prunable(before, over)
				for i := 0; i < len(list) && err == nil; i++ {
					err = w.remove(list[i])
				}
				return err
			},
			then: func() {
				for _, e := range list {
					s.dropLocked(e)
				}
			},
		})
		gone += len(list)
		if err != nil {
			return gone, err
		}
		if len(list) < pruneAtOnce {
			return gone, s.shrink()
		}
	}
}

// prunable returns the first of the delivered requests that are too old, or too many.
func (w *writer) prunable(before time.Time, over int64) (list []Entry, err error) {
	err = each(context.Background(), w.s.conn, func(scan scanFunc) error {
		e, err := scanEntry(scan)
		if err == nil && (e.Ended.Before(before) || int64(len(list)) < over) {
			list = append(list, e)
		}
		return err
	}, selectEntry+" WHERE state = 'delivered' ORDER BY ended LIMIT ?", pruneAtOnce)
	return list, err
}

const (
	// spare is how many pages that are not in use are left, a fourth of the file at least: what is
	// stored next needs them.
	spare = 4096
	// shrinkAtOnce is how many pages are given back in one change.
	shrinkAtOnce = 1024
)

// shrink gives back what the file does not need.
func (s *Store) shrink() error {
	for {
		var free, all int
		err := s.do(&op{do: func(w *writer) error {
			row := w.s.conn.QueryRowContext(context.Background(),
				"SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count")
			if err := row.Scan(&free, &all); err != nil || free < max(spare, all/4) {
				return err
			}
			return w.exec(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", shrinkAtOnce))
		}})
		if err != nil || free < max(spare, all/4) {
			return err
		}
	}
}
