package pages

import (
	"runtime"
	"testing"
)

func TestMutexCounts(t *testing.T) {
	var m Mutex
	for range 10 {
		m.Lock()
		m.Unlock() //nolint:staticcheck // what is counted is the locking
	}
	if m.Locks != 10 || m.Waits != 0 {
		t.Fatalf("alone: %d locks, %d waits, want 10, 0", m.Locks, m.Waits)
	}
	// The goroutine may try to lock before or after Unlock, so repeat until it has had to wait.
	locks := m.Locks
	for range 1_000_000 {
		started, done := make(chan struct{}), make(chan struct{})
		m.Lock()
		go func() {
			close(started)
			m.Lock()
			m.Unlock() //nolint:staticcheck // as above
			close(done)
		}()
		<-started
		runtime.Gosched()
		m.Unlock()
		<-done
		locks += 2
		if m.Waits != 0 {
			break
		}
	}
	if m.Locks != locks || m.Waits != 1 {
		t.Errorf("%d locks, %d waits, want %d, 1", m.Locks, m.Waits, locks)
	}
}
