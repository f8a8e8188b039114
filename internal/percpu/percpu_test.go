package percpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

// With known versions of Go, on known architectures, there are sections. If this fails, the code of
// the runtime's procPin has changed: see findP.
func TestSectionsAreInForce(t *testing.T) {
	want := known && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64") && !Race
	if want != (Limit() == MaxProcs) || want != (OffsetOfP() != 0) {
		t.Errorf("Limit returns %d and OffsetOfP %#x on %s", Limit(), OffsetOfP(), runtime.GOARCH)
	}
	ID() // must not fault anywhere
	if Limit() == 0 {
		return
	}
	for range 1000 {
		p := Pin()
		id := ID()
		Unpin()
		if int(id) != p {
			t.Fatalf("ID returns %d on P %d", id, p)
		}
		runtime.Gosched()
	}
}

// For code that it does not know, findP returns 0.
func TestFindPRefusesUnknownCode(t *testing.T) {
	if Limit() == 0 {
		t.Skip("there are no sections here")
	}
	code := *codeOf(procPin)
	first, shifted, later := code, code, code
	first[0] ^= 0x80
	copy(shifted[1:], code[:])
	for i := range later[12:] { // the offset itself is among these
		later[12+i] ^= 0x80
	}
	for _, other := range [][32]byte{{}, first, shifted, later} {
		if offset := findP(&other); offset != 0 {
			t.Errorf("findP returns %d for % x", offset, other)
		}
	}
}

// spin is a section of some milliseconds, far longer than a section may be.
//
//go:noinline
//go:nosplit
func spin(inside, ended *atomic.Bool, n int) {
	inside.Store(true)
	for range n {
		// Always false: the load keeps the compiler from removing the loop.
		if *(*bool)(unsafe.Pointer(ended)) {
			return
		}
	}
	ended.Store(true)
}

// pinnedSpin is spin, pinned.
func pinnedSpin(inside, ended *atomic.Bool, n int) {
	Pin()
	spin(inside, ended, n)
	Unpin()
}

// Grace does not return before the sections and pins have ended that had begun when it was called.
// The test of sections also finds out whether the runtime still does not stop a goroutine in a
// function marked go:nosplit.
func TestGraceWaits(t *testing.T) {
	if runtime.GOARCH == "wasm" {
		t.Skip("there is one P, and a goroutine that does not pause keeps it")
	}
	if Race {
		t.Skip("Grace does nothing in race builds")
	}
	was := runtime.GOMAXPROCS(max(3, runtime.GOMAXPROCS(0)))
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
	for _, c := range []struct {
		name string
		do   func(inside, ended *atomic.Bool, n int)
	}{{"section", spin}, {"pin", pinnedSpin}} {
		t.Run(c.name, func(t *testing.T) {
			tested := 0
			for try := 0; try < 200 && tested < 10; try++ {
				var inside, ended atomic.Bool
				var wg sync.WaitGroup
				wg.Go(func() { c.do(&inside, &ended, 10_000_000) })
				for !inside.Load() {
					runtime.Gosched()
				}
				overlaps := !ended.Load()
				Grace()
				if !ended.Load() {
					t.Error("Grace has returned too early")
				}
				if overlaps {
					tested++
				}
				wg.Wait()
			}
			if tested == 0 {
				t.Skip("the goroutines never ran at the same time")
			}
		})
	}
}

// In race builds a RaceLock is a lock.
func TestRaceLock(t *testing.T) {
	if !Race {
		t.Skip("a RaceLock is for race builds")
	}
	var l RaceLock
	n := 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				l.Lock()
				n++
				l.Unlock()
			}
		})
	}
	wg.Wait()
	if n != 4000 {
		t.Errorf("%d of 4000 additions are left", n)
	}
}
