// Package bounded has a map that keeps at most a given number of keys.
package bounded

import "sync"

// A Map has one V for each key. Beyond its limit it forgets an arbitrary key, so losing a V must
// cost little. The zero value is empty. It is safe for concurrent use.
type Map[K comparable, V any] struct {
	mu sync.Mutex
	m  map[K]*V
}

// Of returns the value of key, adding a zero V if there is none. At most so many keys are kept.
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
