//go:build !race

package engine

import (
	"unsafe"

	"github.com/galloc-go/galloc/internal/percpu"
)

// init makes the variables of the fast path point at the functions in fast_amd64.s.
//
// These take their arguments where Go's compiler puts them, in registers, and so cost one call. The
// compiler does not know that about a function in assembly: it would call it through a wrapper that
// passes the arguments on the stack. The variables avoid the wrapper, since they hold the address
// of the code itself. That is right as long as the calling convention does not change. It has not
// since Go 1.17, and percpu.OffsetOfP returns 0 with versions of Go that are not known
// (internal/percpu/known.go): then the functions in Go stay.
func init() {
	if percpu.OffsetOfP() != knownOffsetOfP {
		return
	}
	codes := [4]*uintptr{new(uintptr), new(uintptr), new(uintptr), new(uintptr)}
	*codes[0], *codes[1], *codes[2] = fastAllocCode(), fastFreeCode(), fastFreeCheckedCode()
	*codes[3] = fastAllocZeroedCode()
	// SAFETY: a function value is a pointer to a variable that begins with the address of the code.
	// The comment above says why this code can be called so.
	*(*unsafe.Pointer)(unsafe.Pointer(&FastAlloc)) = unsafe.Pointer(codes[0])
	*(*unsafe.Pointer)(unsafe.Pointer(&FastFree)) = unsafe.Pointer(codes[1])
	*(*unsafe.Pointer)(unsafe.Pointer(&fastFreeChecked)) = unsafe.Pointer(codes[2])
	*(*unsafe.Pointer)(unsafe.Pointer(&FastAllocZeroed)) = unsafe.Pointer(codes[3])
}

// knownOffsetOfP is percpu.OffsetOfP() in all known versions of Go.
const knownOffsetOfP = 0xd0

// fastAllocCode returns the address of fastAllocAsm, which cannot be called from Go.
func fastAllocCode() uintptr

// fastFreeCode returns the address of fastFreeAsm.
func fastFreeCode() uintptr

// fastFreeCheckedCode returns the address of fastFreeCheckedAsm.
func fastFreeCheckedCode() uintptr

// fastAllocZeroedCode returns the address of fastAllocZeroedAsm.
func fastAllocZeroedCode() uintptr
