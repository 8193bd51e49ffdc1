package outbox

import (
	"time"

	"github.com/penstock/penstock/internal/turns"
)

// addLocked counts an entry, and has it wait for its turn if it is to.
func (s *Store) addLocked(e Entry) {
	s.countLocked(e, 1)
	switch e.State {
	case Waiting:
		w := turns.Waiter{Seq: e.Seq, Since: e.Accepted, Due: e.Due}
		s.lineLocked(e.Target).Push(e.Client, w)
	case Failed, Unknown:
		s.lineLocked(e.Target).Block(e.Client, e.Seq)
	}
}

// dropLocked forgets an entry.
func (s *Store) dropLocked(e Entry) {
	s.countLocked(e, -1)
	if s.taken[e.Seq] != nil {
		s.leaveLocked(e.Seq)
	} else if e.State == Waiting {
		s.lines[e.Target].Remove(e.Client, e.Seq)
	} else if e.State == Failed || e.State == Unknown {
		s.lines[e.Target].Unblock(e.Client, e.Seq)
	}
}

func (s *Store) countLocked(e Entry, n int64) {
	if e.State == Sending { // whether it is sent, taken knows
		e.State = Waiting
	}
	s.counts[e.State] += n
	s.kept += n * e.answer
	if e.State != Delivered {
		s.bytes += n * e.Size
	}
}

// HeldUpBy returns the ID of the request that has not been delivered and, with [Options.InOrder],
// has e wait until it is requeued or dropped; "" if there is none.
func (s *Store) HeldUpBy(e Entry) string {
	s.mu.Lock()
	by := int64(0)
	if l := s.lines[e.Target]; l != nil && e.State == Waiting {
		by = l.BlockedBy(e.Client, e.Seq)
	}
	s.mu.Unlock()
	if by == 0 {
		return ""
	}
	other, err := s.reader.row(by)
	if err != nil { // it was just dropped
		return ""
	}
	return other.ID
}

// Pending returns how many requests wait or are being sent, by target.
func (s *Store) Pending() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := make(map[string]int64)
	for target, l := range s.lines {
		if n := l.Len(); n > 0 {
			of[target] = int64(n)
		}
	}
	return of
}

// Stats counts what a store has.
type Stats struct {
	Waiting, Sending, Delivered, Failed, Unknown int64

	Bytes  int64     // of the bodies of what was not delivered
	Oldest time.Time // when the oldest pending request was accepted; zero if there is none
}

// Stats returns a snapshot, and does no I/O.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Waiting:   s.counts[Waiting],
		Delivered: s.counts[Delivered],
		Failed:    s.counts[Failed],
		Unknown:   s.counts[Unknown],
		Bytes:     s.bytes,
	}
	for _, l := range s.lines {
		st.Oldest = turns.Earlier(st.Oldest, l.Oldest())
	}
	for _, t := range s.taken {
		st.Oldest = turns.Earlier(st.Oldest, t.Since)
		if !t.begun.IsZero() {
			st.Sending++
			st.Waiting--
		}
	}
	return st
}
