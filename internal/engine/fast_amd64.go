//go:build !race && go1.26 && !go1.27

package engine

import "unsafe"

// The assembly takes its arguments where Go's compiler puts them, in registers, and so costs a call, and nothing besides. Functions in
// assembly are not meant to know that: the compiler would call them through a wrapper that puts the arguments on the stack, which
// costs as much again as the function. So the wrapper is avoided: FastAlloc is made to point at the code itself. That is
// right as long as the compiler's convention does not change, which has been so since Go 1.17. For versions that are not known yet, the
// form in Go is taken; then see that the tests pass, and move the limit above.
func init() {
	if idLimit == 0 || offsetOfP != knownOffsetOfP {
		return
	}
	codes := [3]*uintptr{new(uintptr), new(uintptr), new(uintptr)}
	*codes[0], *codes[1], *codes[2] = fastAllocCode(), fastFreeCode(), fastFreeApartCode()
	// SAFETY: a function value is a pointer to a variable that begins with the address of the code. See above for the rest.
	*(*unsafe.Pointer)(unsafe.Pointer(&FastAlloc)) = unsafe.Pointer(codes[0])
	*(*unsafe.Pointer)(unsafe.Pointer(&FastFree)) = unsafe.Pointer(codes[1])
	*(*unsafe.Pointer)(unsafe.Pointer(&fastFreeLooking)) = unsafe.Pointer(codes[2])
}

// knownOffsetOfP is offsetOfP in the versions above.
const knownOffsetOfP = 0xd0

// fastAllocCode and the others return the addresses of fastAllocAsm and so on, which cannot be called from Go.
func fastAllocCode() uintptr
func fastFreeCode() uintptr
func fastFreeApartCode() uintptr
