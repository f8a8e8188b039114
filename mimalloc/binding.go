//go:build cgo && galloc_mimalloc

// The calls of the library. Every operation is one call of C, because a crossing costs several
// times the work. Addresses are passed as uintptr_t: for a void* cgo would check at every call
// whether it points to Go memory.
//
// Where the length of a block is returned, the size requested is mi_good_size. mi_usable_size may
// be more, but with MI_PADDING, in secure and debug builds, it is exactly the requested size.
//
// Nothing here is a variable that must be initialized, so all of it works before this package is
// initialized.

package mimalloc

/*
#ifdef __has_include
#if !__has_include(<mimalloc.h>)
#error "galloc/mimalloc: mimalloc's headers are not installed (Debian: apt-get install libmimalloc-dev), or build without -tags galloc_mimalloc"
#endif
#endif

#include <mimalloc.h>
#include <stdint.h>
#include <string.h>

#cgo LDFLAGS: -lmimalloc
#cgo noescape galloc_mi_alloc
#cgo nocallback galloc_mi_alloc
#cgo noescape galloc_mi_alloc_zeroed
#cgo nocallback galloc_mi_alloc_zeroed
#cgo noescape galloc_mi_allocate
#cgo nocallback galloc_mi_allocate
#cgo noescape galloc_mi_allocate_zeroed
#cgo nocallback galloc_mi_allocate_zeroed
#cgo noescape galloc_mi_realloc
#cgo nocallback galloc_mi_realloc
#cgo noescape galloc_mi_reallocate
#cgo nocallback galloc_mi_reallocate
#cgo noescape galloc_mi_grow_zeroed
#cgo nocallback galloc_mi_grow_zeroed
#cgo noescape galloc_mi_resize
#cgo nocallback galloc_mi_resize
#cgo noescape galloc_mi_usable
#cgo nocallback galloc_mi_usable
#cgo noescape galloc_mi_free
#cgo nocallback galloc_mi_free
#cgo noescape galloc_mi_process_info
#cgo nocallback galloc_mi_process_info
#cgo nocallback mi_collect
#cgo nocallback mi_version

// A block is an address and the size that was requested.
typedef struct {
	void *p;
	uintptr_t n;
} galloc_mi_block;

// mi_malloc aligns any block as a word. For larger alignments the functions with an offset, 0, are
// called: mi_malloc_aligned of 2.0.9 assumes that a small block whose size is a power of two is
// aligned to its size, which is false from 256 bytes on.
static inline void *galloc_mi_alloc(uintptr_t size, uintptr_t align) {
	return align <= sizeof(void *) ? mi_malloc(size) : mi_malloc_aligned_at(size, align, 0);
}

static inline void *galloc_mi_alloc_zeroed(uintptr_t size, uintptr_t align) {
	return align <= sizeof(void *) ? mi_zalloc(size) : mi_zalloc_aligned_at(size, align, 0);
}

static inline void *galloc_mi_realloc(uintptr_t p, uintptr_t size, uintptr_t align) {
	return align <= sizeof(void *) ? mi_realloc((void *)p, size) : mi_realloc_aligned_at((void *)p, size, align, 0);
}

static inline void galloc_mi_free(uintptr_t p, uintptr_t size, uintptr_t align) {
	mi_free_size_aligned((void *)p, size, align);
}

static inline galloc_mi_block galloc_mi_allocate(uintptr_t size, uintptr_t align) {
	galloc_mi_block b = {NULL, mi_good_size(size)};
	b.p = galloc_mi_alloc(b.n, align);
	return b;
}

static inline galloc_mi_block galloc_mi_allocate_zeroed(uintptr_t size, uintptr_t align) {
	galloc_mi_block b = {NULL, mi_good_size(size)};
	b.p = galloc_mi_alloc_zeroed(b.n, align);
	return b;
}

static inline galloc_mi_block galloc_mi_reallocate(uintptr_t p, uintptr_t size, uintptr_t align) {
	galloc_mi_block b = {NULL, mi_good_size(size)};
	b.p = galloc_mi_realloc(p, b.n, align);
	return b;
}

// mi_expand never frees memory, so a block stays in place only under mi_realloc's condition.
static inline int galloc_mi_resize(uintptr_t p, uintptr_t size) {
	uintptr_t room = mi_usable_size((void *)p);
	return size <= room && size >= room - room / 2 && mi_expand((void *)p, size) == (void *)p;
}

// A new block is better than realloc and memset, because mimalloc knows which of its pages are
// zero.
static inline galloc_mi_block galloc_mi_grow_zeroed(uintptr_t p, uintptr_t old_size, uintptr_t size, uintptr_t align) {
	galloc_mi_block b = {NULL, mi_good_size(size)};
	if ((p & (align - 1)) == 0 && galloc_mi_resize(p, b.n)) {
		b.p = (void *)p;
		memset((char *)b.p + old_size, 0, b.n - old_size);
		return b;
	}
	b.p = galloc_mi_alloc_zeroed(b.n, align);
	if (b.p != NULL) {
		memcpy(b.p, (void *)p, old_size);
		mi_free((void *)p);
	}
	return b;
}

static inline uintptr_t galloc_mi_usable(uintptr_t size) { return mi_good_size(size); }

static void galloc_mi_process_info(size_t *v) {
	mi_process_info(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
}
*/
import "C"

import (
	"time"
	"unsafe"
)

// Available reports whether this program is built with mimalloc: with cgo and -tags
// galloc_mimalloc.
const Available = true

func libAlloc(size, align uintptr) unsafe.Pointer {
	return C.galloc_mi_alloc(C.uintptr_t(size), C.uintptr_t(align))
}

func libAllocZeroed(size, align uintptr) unsafe.Pointer {
	return C.galloc_mi_alloc_zeroed(C.uintptr_t(size), C.uintptr_t(align))
}

func libAllocate(size, align uintptr) (unsafe.Pointer, uintptr) {
	b := C.galloc_mi_allocate(C.uintptr_t(size), C.uintptr_t(align))
	return b.p, uintptr(b.n)
}

func libAllocateZeroed(size, align uintptr) (unsafe.Pointer, uintptr) {
	b := C.galloc_mi_allocate_zeroed(C.uintptr_t(size), C.uintptr_t(align))
	return b.p, uintptr(b.n)
}

func libRealloc(p unsafe.Pointer, size, align uintptr) unsafe.Pointer {
	return C.galloc_mi_realloc(C.uintptr_t(uintptr(p)), C.uintptr_t(size), C.uintptr_t(align))
}

func libReallocate(p unsafe.Pointer, size, align uintptr) (unsafe.Pointer, uintptr) {
	b := C.galloc_mi_reallocate(C.uintptr_t(uintptr(p)), C.uintptr_t(size), C.uintptr_t(align))
	return b.p, uintptr(b.n)
}

func libGrowZeroed(p unsafe.Pointer, oldSize, size, align uintptr) (unsafe.Pointer, uintptr) {
	b := C.galloc_mi_grow_zeroed(C.uintptr_t(uintptr(p)), C.uintptr_t(oldSize), C.uintptr_t(size), C.uintptr_t(align))
	return b.p, uintptr(b.n)
}

func libResize(p unsafe.Pointer, size uintptr) bool {
	return C.galloc_mi_resize(C.uintptr_t(uintptr(p)), C.uintptr_t(size)) != 0
}

func libUsable(size uintptr) uintptr { return uintptr(C.galloc_mi_usable(C.uintptr_t(size))) }

func libFree(p unsafe.Pointer, size, align uintptr) {
	C.galloc_mi_free(C.uintptr_t(uintptr(p)), C.uintptr_t(size), C.uintptr_t(align))
}

func libVersion() int { return int(C.mi_version()) }

func libCollect(force bool) { C.mi_collect(C.bool(force)) }

// count returns a count of bytes. Sums over threads may be below 0 for a time.
func count(n C.size_t) uint64 { return uint64(max(int(n), 0)) }

func libProcessInfo() ProcessInfo {
	var v [8]C.size_t
	C.galloc_mi_process_info(&v[0])
	return ProcessInfo{
		Elapsed:    time.Duration(v[0]) * time.Millisecond,
		User:       time.Duration(v[1]) * time.Millisecond,
		System:     time.Duration(v[2]) * time.Millisecond,
		RSS:        count(v[3]),
		PeakRSS:    uint64(v[4]),
		Commit:     count(v[5]),
		PeakCommit: count(v[6]),
		PageFaults: uint64(v[7]),
	}
}
