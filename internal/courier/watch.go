package courier

import "sync"

// watchers wait for stored requests to end. The zero value is ready.
type watchers struct {
	mu sync.Mutex
	of map[string]chan struct{}
}

// Watch returns a channel that is closed when a stored request ends. If it has ended before, the
// channel is not. To call leave ends the watch.
func (s *Service) Watch(id string) (ended <-chan struct{}, leave func()) {
	return s.ends.watch(id), func() { s.ends.leave(id) }
}

func (w *watchers) watch(id string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = make(map[string]chan struct{})
	}
	w.of[id] = make(chan struct{})
	return w.of[id]
}

func (w *watchers) leave(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.of, id)
}

// ended wakes those that wait for a request.
func (w *watchers) ended(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch := w.of[id]; ch != nil {
		close(ch)
		delete(w.of, id)
	}
}
