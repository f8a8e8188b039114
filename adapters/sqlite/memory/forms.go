package memory

import "unsafe"

// Malloc returns size bytes, which are undefined, with the usable size as the capacity. For size 0
// it returns nil. It panics if size is negative, and returns an error if memory runs out. Do not
// append beyond the capacity, which would move the bytes to the Go heap.
func (a *Allocator) Malloc(size int) ([]byte, error) {
	p, err := a.malloc(size, false)
	return slice(p, size), err
}

// Calloc is like Malloc, and the bytes are zero.
func (a *Allocator) Calloc(size int) ([]byte, error) {
	p, err := a.malloc(size, true)
	return slice(p, size), err
}

// Realloc changes the size of the block of b, and returns it. It keeps the bytes up to the smaller
// size; others are undefined. If b has no capacity, it is Malloc; otherwise, if size is 0, it is
// Free. If it returns an error, b is unchanged.
func (a *Allocator) Realloc(b []byte, size int) ([]byte, error) {
	p, err := a.realloc(start(b), size)
	return slice(p, size), err
}

// Free frees the block of b, which must begin at the first byte of the block. If b has no capacity,
// it does nothing. The error is always nil.
func (a *Allocator) Free(b []byte) error {
	a.free(start(b))
	return nil
}

// UsableSize returns the usable size in bytes of the block at p, which is at least the size that it
// was allocated with, or 0 if p is nil.
func UsableSize(p *byte) int { return usableSize(unsafe.Pointer(p), "UsableSize") }

// UnsafeMalloc is like Malloc, and returns the address.
func (a *Allocator) UnsafeMalloc(size int) (unsafe.Pointer, error) { return a.malloc(size, false) }

// UnsafeCalloc is like Calloc, and returns the address.
func (a *Allocator) UnsafeCalloc(size int) (unsafe.Pointer, error) { return a.malloc(size, true) }

// UnsafeRealloc is like Realloc for the address of a block, or nil.
func (a *Allocator) UnsafeRealloc(p unsafe.Pointer, size int) (unsafe.Pointer, error) {
	return a.realloc(p, size)
}

// UnsafeFree is like Free for the address of a block, or nil.
func (a *Allocator) UnsafeFree(p unsafe.Pointer) error {
	a.free(p)
	return nil
}

// UnsafeUsableSize is UsableSize.
func UnsafeUsableSize(p unsafe.Pointer) int { return usableSize(p, "UnsafeUsableSize") }

// UintptrMalloc is like Malloc, and returns the address as a number.
func (a *Allocator) UintptrMalloc(size int) (uintptr, error) {
	p, err := a.malloc(size, false)
	return uintptr(p), err
}

// UintptrCalloc is like Calloc, and returns the address as a number.
func (a *Allocator) UintptrCalloc(size int) (uintptr, error) {
	p, err := a.malloc(size, true)
	return uintptr(p), err
}

// UintptrRealloc is like Realloc for the address of a block as a number, or 0.
func (a *Allocator) UintptrRealloc(p uintptr, size int) (uintptr, error) {
	q, err := a.realloc(pointer(p), size)
	return uintptr(q), err
}

// UintptrFree is like Free for the address of a block as a number, or 0.
func (a *Allocator) UintptrFree(p uintptr) error {
	a.free(pointer(p))
	return nil
}

// UintptrUsableSize is UsableSize for an address as a number.
func UintptrUsableSize(p uintptr) int { return usableSize(pointer(p), "UintptrUsableSize") }

// pointer returns the address p as a pointer.
func pointer(p uintptr) unsafe.Pointer {
	// SAFETY: galloc has returned the address as a pointer to memory that is not garbage collected,
	// so it stays valid while it is a number.
	return *(*unsafe.Pointer)(unsafe.Pointer(&p))
}

// start returns the address of the block of b, or nil if it has no capacity.
func start(b []byte) unsafe.Pointer {
	if cap(b) == 0 {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}

// slice returns the first size bytes of the block at p, or nil if p is nil.
func slice(p unsafe.Pointer, size int) []byte {
	if p == nil {
		return nil
	}
	return unsafe.Slice((*byte)(p), usableSize(p, "Malloc"))[:size]
}
