package engine

import (
	"runtime"
	"testing"
	"unsafe"
)

func TestAMutexCountsLocksAndThoseThatHadToWait(t *testing.T) {
	var m mutex
	for range 10 {
		m.Lock()
		m.Unlock() //nolint:staticcheck // what is counted is the locking
	}
	if m.locks != 10 || m.waits != 0 {
		t.Fatalf("alone: %d locks, %d waits, want 10, 0", m.locks, m.waits)
	}
	// Whether the other has come before Unlock, nothing tells; so it is tried until it has.
	locks := m.locks
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
		if m.waits != 0 {
			break
		}
	}
	if m.locks != locks || m.waits != 1 {
		t.Errorf("%d locks, %d waits, want %d, 1", m.locks, m.waits, locks)
	}
}

// What Stats says about locks is what a few calls must have done, on a heap without caches: there each is a batch of one block.
func TestStatsCountsLocksBlocksAndSpans(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // no adoption: that locks too
	h, _ := newHeap(t, Config{Checked: true, Decay: -1})
	c := ClassOf(4096, 8)
	var ps []unsafe.Pointer
	for range 3 {
		ps = append(ps, h.Alloc(4096, 8))
	}
	for _, p := range ps {
		h.Free(p, 4096, 8)
	}
	h.Free(h.Alloc(1<<20, 8), 1<<20, 8)
	var s Stats
	h.ReadStats(&s)
	h.ReadStats(&s) // which counts nothing itself
	k := s.Classes[c-1]
	if k.Blocks != 0 || k.Taken != 3 || k.Given != 3 || k.SpansMade == 0 || k.Adopted != 0 || k.Waits != 0 {
		t.Errorf("%+v: want 3 blocks taken and given in spans that are gone, no waits, nothing adopted", k)
	}
	// One lock for each block, and one more for each span, since the central had been found without it.
	if want := 6 + k.SpansMade; k.Locks != want {
		t.Errorf("%d locks of centrals, want %d", k.Locks, want)
	}
	if want := 2*k.SpansMade + 2; s.PageLocks != want || s.PageWaits != 0 {
		t.Errorf("%d locks of the pages, %d waits, want %d, 0", s.PageLocks, s.PageWaits, want)
	}
}

func TestACentralHasTwoCacheLinesOfItsOwn(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("it is smaller on 32 bits")
	}
	var ct central
	if size := unsafe.Sizeof(ct); size != 128 {
		t.Errorf("a central has %d bytes, want 128", size)
	}
	if end := unsafe.Offsetof(ct.gone) + 4; end > 64 {
		t.Errorf("what a batch needs of a central ends at byte %d, beyond a cache line", end)
	}
	if at := unsafe.Offsetof(ct.taken); at < 60 {
		t.Errorf("the counts begin at byte %d", at)
	}
}
