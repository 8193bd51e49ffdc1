package journal

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/penstock/penstock/internal/item"
)

// Claim looks an item up and marks it as taken up by this run. It returns what was last put, also
// if that is not on disk yet, and does no I/O.
func (j *Journal) Claim(id uint64, f Fingerprint) Claim {
	print := f.print()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.beginLocked()
	return j.index.claim(id, print)
}

// Peek is Claim without the mark.
func (j *Journal) Peek(id uint64, f Fingerprint) Claim {
	print := f.print()
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.index.Get(id)
	if e == nil {
		return Claim{}
	}
	return e.claim(print)
}

// Enter has the run noted, though it may have no items.
func (j *Journal) Enter() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.beginLocked()
}

// beginLocked has the run noted.
func (j *Journal) beginLocked() {
	if !j.begun {
		j.begun = true
		j.poke()
	}
}

// Load returns the whole row of an item, from the disk, after what was put before is there. The
// error is fs.ErrNotExist where there is none.
func (j *Journal) Load(id uint64) (it Item, err error) {
	var n int64
	j.mu.Lock()
	if e := j.index.Get(id); e != nil && e.state() != item.None {
		n = e.n()
	}
	j.mu.Unlock()
	if asked := j.ask(func(w *writer) { it, err = w.load(n) }); asked != nil {
		return Item{}, asked
	}
	if n == 0 {
		return Item{}, fmt.Errorf("journal %s: item %016x: %w", j.path, id, fs.ErrNotExist)
	}
	return it, fault(j.path, err)
}

// ask has the writer do something after what was put before is on disk.
func (j *Journal) ask(do func(*writer)) error {
	done := make(chan struct{})
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	j.asks = append(j.asks, func(w *writer) {
		do(w)
		close(done)
	})
	j.mu.Unlock()
	j.poke()
	<-done
	return nil
}

// Put records an item soon, at once if it was in flight. It returns at once unless 256 rows wait
// for their commit.
//
// After the commit that holds the row, done is called, or with an error where there is none and
// will be none: see [Journal.Flush]. It is called by the writer, in the order of Put, one call at a
// time; it must not call Put, Begin, Load, Flush or Close. It may be nil.
//
// The row replaces the one before. Only a nil Digest leaves the one on record, if the fingerprint
// is the same.
func (j *Journal) Put(it Item, done func(error)) {
	select {
	case j.slots <- struct{}{}:
	case <-j.failed:
	}
	if err := j.enqueue(it, false, done); err != nil && done != nil {
		done(err)
	}
}

// Begin records an item as in flight, whatever its state, and returns when that is on disk. If it
// fails nothing of the item may be sent. Ctx ends the wait for a place in the queue; a commit that
// is under way is waited for.
func (j *Journal) Begin(ctx context.Context, it Item) error {
	select {
	case j.slots <- struct{}{}:
	case <-j.failed:
		return j.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	it.State = item.InFlight
	written := make(chan error, 1)
	if err := j.enqueue(it, true, func(err error) { written <- err }); err != nil {
		return err
	}
	return <-written
}

func (j *Journal) enqueue(it Item, begin bool, done func(error)) error {
	if it.State == item.None || it.State > item.Deferred {
		it.State = item.Unknown // the state that claims nothing
	}
	if it.Last.IsZero() {
		it.Last = time.Now()
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		select {
		case <-j.slots:
		default:
		}
		return ErrClosed
	}
	j.beginLocked()
	x := j.index.put(it.ID)
	n := x.n()
	if n == 0 {
		n = j.next
		j.next++
	}
	// What became of an item that was begun: a kill meanwhile would leave it in doubt.
	urgent := begin || x.state() == item.InFlight
	x.setRow(n, it.print(), it.State, it.Captured != "")
	j.waiting = append(j.waiting, entry{it, n, begin, done})
	j.urgent = j.urgent || urgent
	wake := urgent || len(j.waiting) == 1 || len(j.waiting) == crowd
	j.mu.Unlock()
	if wake {
		j.poke()
	}
	return nil
}

func (j *Journal) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Err returns why rows could not be written, or nil. Once it is not nil the run should end.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Failed is closed when Err is no longer nil. From then on Put does not block, and Begin fails.
func (j *Journal) Failed() <-chan struct{} { return j.failed }

func (j *Journal) fail(err error) {
	j.mu.Lock()
	j.err = err
	j.mu.Unlock()
	close(j.failed)
}

// Flush returns when all that was put before is on disk and done was called for it. On a journal
// that has failed it tries once more what could not be written, and calls done with the error where
// that fails again; such rows are then given up.
func (j *Journal) Flush() (err error) {
	asked := j.ask(func(w *writer) { err = w.retry() })
	return cmp.Or(asked, err)
}
