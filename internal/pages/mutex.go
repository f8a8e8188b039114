package pages

import "sync"

// A Mutex counts how often it was locked, and how often the caller had to wait. It guards the
// counts itself, so they lie in a cache line that its holder owns anyway. To leave the counts
// alone, lock the sync.Mutex inside.
type Mutex struct {
	sync.Mutex
	Locks, Waits uint64
}

// Lock locks m.
func (m *Mutex) Lock() {
	if !m.TryLock() {
		m.Mutex.Lock()
		m.Waits++
	}
	m.Locks++
}
