// Package libc is the allocator that the platform brings.
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
// A block is what Alloc, AllocZeroed or Realloc returned. Sizes and alignments are in bytes. For every call, size is above 0, align
// is a power of two, and size rounded up to align is at most math.MaxInt; oldSize, size and align that come with a block are
// exactly those it was last allocated with. Nothing checks this: the one package above that speaks Layout guarantees it.
//
// A block belongs to the caller until Free or a successful Realloc, and blocks never overlap. Its address is a multiple of align.
// It lies outside the Go heap, except in the OS pages form where package vm has GoMemory; even then the garbage collector does not
// look into it, so a Go pointer in it keeps nothing alive.
//
// All functions may be called from any goroutine. None panics, and none allocates Go memory per call: the OS pages form keeps
// tables in Go memory, which grow by a few bytes for each region. Blocks of one form are not to be freed by the platform's own
// functions, since alignments above the platform's natural one may be met with a header before the block.
//
// # Costs
//
// With cgo, an allocation and its free cost about 60 ns together, of which the C library's part is a few. The OS pages form
// needs about 30 ns for blocks up to 32 KiB, behind one mutex for each size class; larger ones share one mutex and a search
// through the free runs.
package libc

import "unsafe"

// Name says which form this is, such as "libc malloc", "HeapAlloc" or "OS pages".
const Name = name

// Alloc returns a new block of size bytes with undefined contents, or nil if there is no memory for it.
func Alloc(size, align uintptr) unsafe.Pointer {
	return alloc(size, align)
}

// AllocZeroed returns a new block of size zero bytes, or nil if there is no memory for it. The C library does not write what it
// knows to be zero. The OS pages form clears blocks below 1 MiB, and has the system exchange the pages of larger ones.
func AllocZeroed(size, align uintptr) unsafe.Pointer {
	return allocZeroed(size, align)
}

// Realloc changes the size of the block at p from oldSize to newSize bytes and returns its address, which may be the old one. The
// contents up to the smaller size are kept, and anything beyond is undefined. The old address is invalid, even if it is equal.
//
// If there is no memory, Realloc returns nil, and the old block stays as it was and belongs to the caller still.
func Realloc(p unsafe.Pointer, oldSize, align, newSize uintptr) unsafe.Pointer {
	return realloc(p, oldSize, align, newSize)
}

// Free ends the life of the block at p.
func Free(p unsafe.Pointer, size, align uintptr) {
	free(p, size, align)
}

// Abort ends the process as the platform's abort does, without running anything of the program: no deferred function, no
// handler, on Linux no traceback either. It does not return.
//
//	Linux        killed by SIGABRT
//	other Unix   SIGABRT to the Go runtime, which prints a traceback and exits with status 2
//	Windows      exit status 3
//	others       exit status 134, that of a shell for SIGABRT
func Abort() {
	abort()
}
