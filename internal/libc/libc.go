// Package libc is the platform's allocator.
//
// It has one form on each platform, chosen when the program is built:
//
//	Unix with cgo       malloc, posix_memalign, realloc, free     libc_cgo.go
//	Windows             HeapAlloc, HeapReAlloc, HeapFree          libc_windows.go
//	everything else     OS pages, and size classes over them      libc_pages.go
//
// The build tag galloc_pages chooses the last one on every platform.
//
// # Contract
//
// A block is memory that Alloc, AllocZeroed or Realloc returned. Sizes and alignments are in bytes.
// In every call, size must be greater than 0, align a power of two, and size rounded up to align at
// most math.MaxInt; oldSize, size and align of a block must be as in its last allocation. Nothing
// checks this: package galloc, which has Layouts, guarantees it.
//
// A block belongs to the caller until Free or a successful Realloc, and blocks never overlap. Its
// address is a multiple of align. It lies outside the Go heap, except in the OS pages form where
// package vm has GoMemory; even then the garbage collector does not scan it, so a Go pointer in it
// keeps nothing alive.
//
// All functions are safe for concurrent use. None panics, and none allocates Go memory per call:
// the OS pages form keeps tables in Go memory, which grow by a few bytes for each region. The
// program must not free blocks by the platform's own functions, since a block with a high alignment
// may have a header.
//
// # Costs
//
// With cgo, an allocation and its free cost about 60 ns together, of which the C library takes a
// few. The OS pages form needs about 30 ns for blocks up to 32 KiB, with one mutex for each size
// class; larger blocks share one mutex and search the free runs.
package libc

import "unsafe"

// Name is the name of this form: "libc malloc", "HeapAlloc" or "OS pages".
const Name = name

// Alloc returns a new block of size bytes with undefined contents, or nil if there is no memory for
// it.
func Alloc(size, align uintptr) unsafe.Pointer {
	return alloc(size, align)
}

// AllocZeroed returns a new block of size zero bytes, or nil if there is no memory for it. The C
// library does not clear memory that it knows to be zero. The OS pages form clears blocks of less
// than 1 MiB, and purges the pages of larger ones.
func AllocZeroed(size, align uintptr) unsafe.Pointer {
	return allocZeroed(size, align)
}

// Realloc changes the size of the block at p from oldSize to newSize bytes and returns its address,
// which may be the old one. The contents up to the smaller size are kept, and the rest is
// undefined. The old pointer is invalid, even if it is equal.
//
// If there is no memory, Realloc returns nil, and the old block is unchanged and still belongs to
// the caller.
func Realloc(p unsafe.Pointer, oldSize, align, newSize uintptr) unsafe.Pointer {
	return realloc(p, oldSize, align, newSize)
}

// Free frees the block at p.
func Free(p unsafe.Pointer, size, align uintptr) {
	free(p, size, align)
}

// Abort ends the process as the platform's abort does, and does not return. It runs no deferred
// function and no handler of the program, and on Linux it prints no traceback.
//
//	Linux        killed by SIGABRT
//	other Unix   SIGABRT to the Go runtime, which prints a traceback and exits with status 2
//	Windows      exit status 3
//	others       exit status 134, as a shell reports SIGABRT
func Abort() {
	abort()
}
