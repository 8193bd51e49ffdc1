// Package bounded remembers something about each of many keys in a memory that does not grow
// without end.
package bounded

import "sync"

// A Map has one V for each key. Of more keys than it may have it forgets any one, so a V must be
// such that to begin anew costs little. The zero value is empty. It is safe for concurrent use.
type Map[K comparable, V any] struct {
	mu sync.Mutex
	m  map[K]*V
}

// Of returns what there is of a key, or a zero V that is there from now on, for at most so many
// keys.
func (m *Map[K, V]) Of(key K, most int) *V {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.m[key]; v != nil {
		return v
	}
	if m.m == nil {
		m.m = make(map[K]*V)
	}
	for old := range m.m {
		if len(m.m) < most {
			break
		}
		delete(m.m, old)
	}
	v := new(V)
	m.m[key] = v
	return v
}
