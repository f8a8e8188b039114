//go:build linux && !race

package vm

import (
	"testing"
	"unsafe"
)

// Old kernels have no marks in page tables; the substitute keeps the same promises.
func TestGuardWithoutMarks(t *testing.T) {
	was := guardMarks
	guardMarks = func() bool { return false }
	defer func() { guardMarks = was }()
	TestGuardedPagesCrashAndComeBackZero(t)
	TestInjectedGuardChangesNothing(t)
}

func TestGuardMarksMakeNoVMA(t *testing.T) {
	if !guardMarks() {
		t.Skip("the kernel has no MADV_GUARD_INSTALL")
	}
	page := PageSize()
	p := readyForTest(t, 64*page, 1)
	for at := uintptr(0); at < 64; at += 2 {
		mustSucceed(t, Guard(unsafe.Add(p, at*page), page))
	}
	if n := len(mappings(t, p, 64*page)); n != 1 {
		t.Errorf("%d VMAs, want 1", n)
	}
	if got := resident(t, p, 64*page); got != 32*page {
		t.Errorf("%d bytes resident, want %d: guarding gives memory back", got, 32*page)
	}
}
