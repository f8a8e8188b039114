//go:build cgo && unix && !galloc_pages

// The C library's malloc family. See libc.go for the contract.
//
// C code chooses the function for a request, so that every operation is one cgo call: the call
// costs ten times the work. The rules are the same as in Rust's System on Unix. malloc promises an
// alignment of MIN_ALIGN only for blocks at least as large as their alignment (jemalloc and others
// align tiny blocks less), so all other requests go to posix_memalign.
//
// Addresses are passed to C as uintptr_t: for a void* cgo would check on every call whether it
// points to Go memory, in about 4 ns. The wrappers exist because cgo's C.malloc never returns nil
// but ends the program.

package libc

/*
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MIN_ALIGN (sizeof(void *) == 8 ? 16 : 8)

#cgo noescape galloc_alloc
#cgo nocallback galloc_alloc
#cgo noescape galloc_alloc_zeroed
#cgo nocallback galloc_alloc_zeroed
#cgo noescape galloc_realloc
#cgo nocallback galloc_realloc
#cgo noescape galloc_free
#cgo nocallback galloc_free

static inline void *galloc_aligned(uintptr_t size, uintptr_t align) {
	void *p = NULL;
#ifdef __APPLE__
	// There posix_memalign succeeds for larger alignments, with an address that is not aligned.
	if (align > (uintptr_t)1 << 31) return NULL;
#endif
	if (align < sizeof(void *)) align = sizeof(void *);
	return posix_memalign(&p, align, size) == 0 ? p : NULL;
}

static inline void *galloc_alloc(uintptr_t size, uintptr_t align) {
	if (align <= MIN_ALIGN && align <= size) return malloc(size);
	return galloc_aligned(size, align);
}

static inline void *galloc_alloc_zeroed(uintptr_t size, uintptr_t align) {
	if (align <= MIN_ALIGN && align <= size) return calloc(size, 1);
	void *p = galloc_aligned(size, align);
	return p == NULL ? NULL : memset(p, 0, size);
}

static inline void *galloc_realloc(uintptr_t p, uintptr_t old_size, uintptr_t align, uintptr_t new_size) {
	if (align <= MIN_ALIGN && align <= new_size) return realloc((void *)p, new_size);
	void *q = galloc_alloc(new_size, align);
	if (q == NULL) return NULL;
	memcpy(q, (void *)p, old_size < new_size ? old_size : new_size);
	free((void *)p);
	return q;
}

static inline void galloc_free(uintptr_t p) { free((void *)p); }
*/
import "C"

import "unsafe"

const name = "libc malloc"

func alloc(size, align uintptr) unsafe.Pointer {
	return C.galloc_alloc(C.uintptr_t(size), C.uintptr_t(align))
}

func allocZeroed(size, align uintptr) unsafe.Pointer {
	return C.galloc_alloc_zeroed(C.uintptr_t(size), C.uintptr_t(align))
}

func realloc(p unsafe.Pointer, oldSize, align, newSize uintptr) unsafe.Pointer {
	return C.galloc_realloc(C.uintptr_t(uintptr(p)), C.uintptr_t(oldSize), C.uintptr_t(align), C.uintptr_t(newSize))
}

func free(p unsafe.Pointer, _, _ uintptr) {
	C.galloc_free(C.uintptr_t(uintptr(p)))
}
