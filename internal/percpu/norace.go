//go:build !race

package percpu

// Race is true in race builds.
const Race = false

// A RaceLock is a mutex in race builds, and nothing in others. It guards data of a P: the race
// detector does not know that sections and pins order accesses, but it knows locks.
type RaceLock struct{}

// Lock locks l in race builds.
//
//go:nosplit
func (*RaceLock) Lock() {}

// Unlock unlocks l in race builds.
//
//go:nosplit
func (*RaceLock) Unlock() {}
