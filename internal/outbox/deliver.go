package outbox

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"time"

	"github.com/penstock/penstock/internal/turns"
)

// Next returns up to limit requests for a target that wait and are due: of each client the oldest,
// and the clients by turns. Each belongs to the caller until [Store.Finish], and is not returned
// again before that. More is when the next one falls due if no other comes before; it is zero if
// none waits for its time.
func (s *Store) Next(target string, limit int) (list []Entry, more time.Time, err error) {
	s.mu.Lock()
	l := s.lineLocked(target)
	var got []*taken
	now := time.Now()
	for len(got) < limit {
		w, ok := l.Take(now)
		if !ok {
			break
		}
		t := &taken{Waiter: w, line: l}
		s.taken[w.Seq] = t
		got = append(got, t)
	}
	more = l.Due()
	s.mu.Unlock()

	for i, t := range got {
		e, err := s.reader.row(t.Seq)
		switch {
		case err == nil:
			list = append(list, e)
		case !errors.Is(err, ErrNotFound): // else it was withdrawn meanwhile
			s.giveBack(got[i:])
			return list, more, fault(s.dir, err)
		}
	}
	return list, more, nil
}

// giveBack has requests wait again that were taken.
func (s *Store) giveBack(list []*taken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range list {
		if s.taken[t.Seq] == t {
			s.leaveLocked(t.Seq)
			t.line.Push(t.Client(), t.Waiter)
		}
	}
}

// leaveLocked takes a request out of those that were taken.
func (s *Store) leaveLocked(seq int64) {
	t := s.taken[seq]
	delete(s.taken, seq)
	t.line.Done(t.Waiter)
}

// Begin says that a request which Next has returned is about to be sent: it is [Sending], and can
// be withdrawn no more. With note, Begin returns when that is on disk. What must not be sent twice
// needs it: after a crash meanwhile it is for [Options.Interrupted] to decide what becomes of the
// request, where any other waits again.
//
// If Begin fails, nothing may be sent. The error is [ErrNotFound] if the request was withdrawn;
// else the caller still has it.
func (s *Store) Begin(id string, note bool) error {
	seq, _ := parseID(id)
	now := time.Now().Truncate(time.Millisecond)
	s.mu.Lock()
	t := s.taken[seq]
	if t == nil {
		s.mu.Unlock()
		return ErrNotFound
	}
	// While it is being withdrawn, only the writer knows whether it will be.
	if s.ending[seq] == 0 {
		t.begun = now
		if !note {
			s.mu.Unlock()
			return nil
		}
	}
	o := &op{
		do: func(w *writer) error {
			if _, err := w.entry(id); err != nil {
				return err
			}
			return w.exec(`UPDATE request SET state = ?, first = iif(first, first, ?)
				WHERE seq = ?`, Sending, millis(now), seq)
		},
		then: func() { t.begun = now },
	}
	s.enqueueLocked(o)
	s.mu.Unlock()
	err := s.wait(o)
	if err != nil {
		s.mu.Lock()
		t.begun = time.Time{}
		s.mu.Unlock()
	}
	return err
}

// An Outcome is what came of sending a request.
type Outcome struct {
	State    State     // Waiting: it is to be sent again
	Due      time.Time // not before then; if zero, as soon as its turn comes
	Attempts int       // all so far
	Status   int       // of the last answer; 0 if there was none
	Answer   *Answer   // of its body the first MaxAnswer bytes are kept; it may be nil
	Reason   string
	Doubt    bool // though it is to be sent again, the server may have it
}

// Finish records what came of a request that Next has returned, and returns when that is on disk.
// The body of a request that was delivered is deleted. While the disk is full or cannot be written,
// Finish waits until it can be, or the store is closed. It fails with [ErrNotFound] if the request
// was withdrawn or finished before.
func (s *Store) Finish(id string, o Outcome) error {
	seq, _ := parseID(id)
	s.mu.Lock()
	t := s.taken[seq]
	s.mu.Unlock()
	if t == nil {
		return ErrNotFound
	}
	now := time.Now()
	var ended time.Time
	if o.State != Waiting {
		ended, o.Due, o.Doubt = now, time.Time{}, true
	}
	var before, after Entry
	err := s.do(&op{
		must: true,
		do: func(w *writer) (err error) {
			if before, err = w.entry(id); err != nil {
				return err
			}
			after = before
			after.State, after.Due, after.Attempts = o.State, o.Due, o.Attempts
			after.Status, after.Reason = o.Status, o.Reason
			after.last, after.Ended = now, ended
			switch {
			case !o.Doubt:
				after.First = time.Time{}
			case after.First.IsZero():
				after.First = t.begun
			}
			return w.finish(&after, o.Answer)
		},
		then: func() {
			s.dropLocked(before)
			s.addLocked(after)
		},
	})
	if err == nil && before.inFile && !after.inFile {
		os.Remove(s.bodyPath(id)) // else the next Open does it
	}
	return err
}

// roomForAnswer returns how many bytes of an answer's body are kept.
func (s *Store) roomForAnswer(e *Entry) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(min(s.o.MaxBytes-s.kept+e.answer, MaxAnswer), 0)
}

// finish writes how an entry ended. A body that is not needed any more is deleted.
func (w *writer) finish(e *Entry, a *Answer) error {
	if err := w.answer(e, a); err != nil {
		return err
	}
	if e.State == Delivered {
		e.inFile = false
		if err := w.exec("DELETE FROM body WHERE seq = ?", e.Seq); err != nil {
			return err
		}
	}
	return w.exec(`UPDATE request SET state = ?, due = ?, last = ?, first = ?, ended = ?,
		in_file = ?, answer = ?, attempts = ?, status = ?, reason = ? WHERE seq = ?`,
		e.State, millis(e.Due), millis(e.last), millis(e.First), millis(e.Ended),
		e.inFile, e.answer, e.Attempts, e.Status, e.Reason, e.Seq)
}

// answer keeps the answer to the last attempt, and no other.
func (w *writer) answer(e *Entry, a *Answer) error {
	if a == nil {
		e.answer = 0
		return w.exec("DELETE FROM answer WHERE seq = ?", e.Seq)
	}
	body, cut := append([]byte{}, a.Body...), a.Cut // nil would be NULL
	most := w.s.roomForAnswer(e)
	if int64(len(body)) > most {
		body, cut = body[:most], true
	}
	header, err := json.Marshal(a.Header)
	if err != nil {
		return err
	}
	e.answer = int64(len(body))
	return w.exec("REPLACE INTO answer VALUES (?,?,?,?)", e.Seq, header, body, cut)
}

// Tried records what an attempt has led to of a request that the caller still has, and sends again.
// Its State says whether the server may have it: [Sending], or [Waiting] if not. Then Begin is due
// again, and until that the request can be withdrawn. Tried does not wait for the disk.
func (s *Store) Tried(id string, o Outcome) {
	seq, _ := parseID(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.taken[seq]
	if t == nil {
		return
	}
	if o.State == Waiting {
		t.begun = time.Time{}
	}
	now, first := time.Now(), t.begun
	var answer int64
	s.enqueueLocked(&op{do: func(w *writer) error {
		e, err := w.entry(id)
		if err != nil {
			return err
		}
		switch {
		case o.State == Waiting: // else it may be noted or not
			e.State, e.First = Waiting, time.Time{}
		case e.First.IsZero():
			e.First = first
		}
		answer = e.answer
		if err := w.answer(&e, nil); err != nil {
			return err
		}
		return w.exec(`UPDATE request SET state = ?, due = ?, last = ?, first = ?, answer = 0,
			attempts = ?, status = ?, reason = ? WHERE seq = ?`, e.State, millis(o.Due),
			millis(now), millis(e.First), o.Attempts, o.Status, o.Reason, e.Seq)
	}, then: func() { s.kept -= answer }})
	s.poke()
}

// Get returns a request with its last answer. It fails with [ErrNotFound] or an [*Error].
func (s *Store) Get(id string) (Entry, error) {
	e, err := s.reader.Get(id)
	s.mark(&e)
	return e, err
}

// List is that of a [Reader].
func (s *Store) List(f Filter) iter.Seq2[Entry, error] { return s.reader.List(f) }

// Setback is that of a [Reader].
func (s *Store) Setback(target string, statuses ...int) (int, error) {
	return s.reader.Setback(target, statuses...)
}

// Body is that of a [Reader].
func (s *Store) Body(id string) (open func() (io.ReadCloser, error), err error) {
	return s.reader.Body(id)
}

// mark sets what of an entry is known in memory only.
func (s *Store) mark(e *Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.taken[e.Seq]; t != nil && !t.begun.IsZero() {
		e.State = Sending
		e.First = turns.Earlier(e.First, t.begun)
	}
}
