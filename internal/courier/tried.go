package courier

import "sync"

// tried has the stored requests that wait for another try after one of this relay, by their
// numbers. Only it distinguishes them from those that an earlier relay has tried. The zero value is
// ready.
type tried struct {
	mu  sync.Mutex
	set map[int64]bool
}

func (t *tried) has(seq int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.set[seq]
}

func (t *tried) add(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.set == nil {
		t.set = make(map[int64]bool)
	}
	t.set[seq] = true
}

func (t *tried) remove(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.set, seq)
}
