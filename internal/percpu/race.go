//go:build race

package percpu

import "sync"

// Race is true in race builds.
const Race = true

// A RaceLock is a mutex in race builds, and nothing in others. It guards data of a P: the race
// detector does not know that sections and pins order accesses, but it knows locks.
type RaceLock struct{ mu sync.Mutex }

// Lock locks l in race builds.
func (l *RaceLock) Lock() { l.mu.Lock() }

// Unlock unlocks l in race builds.
func (l *RaceLock) Unlock() { l.mu.Unlock() }
