//go:build !linux || race

package vm

import (
	"testing"
	"unsafe"
)

// wantReserved can check here only that pages of the Go heap read zero.
func wantReserved(t *testing.T, p unsafe.Pointer, n uintptr) {
	t.Helper()
	if GoMemory {
		wantZero(t, "Reserved pages", bytesAt(p, n))
	}
}
