package vm

import (
	"runtime/debug"
	"testing"
	"unsafe"
)

// faults reports whether reading the byte at p crashes.
func faults(p unsafe.Pointer) (crashed bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			crashed = true
		}
	}()
	sink = *(*byte)(p)
	return false
}

var sink byte

func TestGuardedPagesCrashAndComeBackZero(t *testing.T) {
	page := PageSize()
	p := readyForTest(t, 5*page, 1)
	middle := unsafe.Add(p, page)
	err := Guard(middle, 3*page)
	if GoMemory {
		if err != ErrNoGuard {
			t.Fatalf("Guard of Go memory: %v", err)
		}
		wantFill(t, "what cannot be guarded", bytesAt(p, page), 1)
		return
	}
	mustSucceed(t, err)
	for at := range uintptr(5) {
		if got, want := faults(unsafe.Add(p, at*page+at)), at >= 1 && at <= 3; got != want {
			t.Errorf("page %d: crashes %v, want %v", at, got, want)
		}
	}
	mustSucceed(t, Unguard(unsafe.Add(p, 2*page), page)) // a part of it
	wantZero(t, "an unguarded page", bytesAt(unsafe.Add(p, 2*page), page))
	if !faults(middle) || !faults(unsafe.Add(p, 3*page)) || faults(unsafe.Add(p, 2*page)) {
		t.Error("Unguard of a part is not about that part")
	}
	mustSucceed(t, Unguard(middle, page))
	mustSucceed(t, Unguard(unsafe.Add(p, 3*page), page))
	wantZero(t, "all of them", bytesAt(middle, 3*page))
	fill(bytesAt(p, 5*page), 2)
}

func TestInjectedGuardChangesNothing(t *testing.T) {
	page := PageSize()
	p := readyForTest(t, page, 1)
	asked, restore := failing(t, OpGuard)
	wantInjected(t, Guard(p, page), asked, page)
	wantFill(t, "not guarded", bytesAt(p, page), 1)
	restore()
	if GoMemory {
		return
	}
	mustSucceed(t, Guard(p, page))
	asked, restore = failing(t, OpUnguard)
	wantInjected(t, Unguard(p, page), asked, page)
	if !faults(p) {
		t.Error("unguarded in spite of the error")
	}
	restore()
	mustSucceed(t, Unguard(p, page))
}
