//go:build cgo && unix

// The functions of galloc.h, in front of those of export.go. Each costs one load and one branch over the call of Go, which tell
// whether the process is the child of a fork.
//
// Such a child has one thread, and Go's runtime in it waits for the others for ever: nothing of Go can be called. What a program
// does there is to prepare for exec, and that may allocate. So the child gets memory from an arena that knows no locks: an address
// that only grows. Nothing is reused, since a block to be given back may be one of Go's, which look no different.
//
// Invariant of the child: start <= next <= end. What lies from next to end has not been handed out, and is zero.

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "_cgo_export.h"
#include "galloc.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif

static int forked; // written only where there is one thread

#define IN_CHILD __builtin_expect(forked, 0)

// ---- The arena of a child ----

static const size_t arena_size = SIZE_MAX > 0xffffffff ? (size_t)1 << 30 : (size_t)64 << 20;

static uintptr_t start, end;
static uintptr_t next; // atomic: a child may begin threads

// after_fork runs in the child, before fork returns there. It takes address space only; if there is little, less.
static void after_fork(void) {
	int saved = errno;
	forked = 1;
	for (size_t n = arena_size; start == 0 && n >= 1 << 16; n /= 2) { // a child of a child goes on with what it has
		void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p != MAP_FAILED) {
			start = next = (uintptr_t)p;
			end = start + n;
		}
	}
	errno = saved;
}

// The first priority that programs may use: the handler that is registered first runs first in the child, so that those of others
// may allocate.
__attribute__((constructor(101))) static void on_load(void) { pthread_atfork(NULL, NULL, after_fork); }

// valid tells whether there is such a layout, as layout in export.go does.
static int valid(size_t size, size_t align) {
	return align != 0 && (align & (align - 1)) == 0 && size <= (size_t)PTRDIFF_MAX + 1 - align;
}

// arena_alloc returns a block whose bytes are zero, since it is the first there. The blocks of size 0 lie at their alignment.
static void *arena_alloc(size_t size, size_t align) {
	if (!valid(size, align)) return NULL;
	if (size == 0) return (void *)align;
	uintptr_t was = __atomic_load_n(&next, __ATOMIC_RELAXED), p;
	do {
		size_t padding = -was & (align - 1);
		if (padding > end - was || size > end - was - padding) return NULL;
		p = was + padding;
	} while (!__atomic_compare_exchange_n(&next, &was, p + size, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return (void *)p;
}

static void *arena_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) {
	if (!valid(old_size, align)) return NULL;
	void *p = arena_alloc(new_size, align);
	if (p != NULL) memcpy(p, ptr, old_size < new_size ? old_size : new_size);
	return p;
}

// ---- The functions ----

static inline void *alloc(size_t size, size_t align) {
	if (IN_CHILD) return arena_alloc(size, align);
	return (void *)gallocGoAlloc(size, align);
}

static inline void *alloc_zeroed(size_t size, size_t align) {
	if (IN_CHILD) return arena_alloc(size, align);
	return (void *)gallocGoAllocZeroed(size, align);
}

static inline void dealloc(void *ptr, size_t size, size_t align) {
	if (ptr == NULL || size == 0 || IN_CHILD) return; // so that Go never sees an address that is not one
	gallocGoDealloc(ptr, size, align);
}

static inline void *reallocate(void *ptr, size_t old_size, size_t align, size_t new_size) {
	if (ptr == NULL || old_size == 0) return alloc(new_size, align);
	if (IN_CHILD) return arena_realloc(ptr, old_size, align, new_size);
	return (void *)gallocGoRealloc(ptr, old_size, align, new_size);
}

void *galloc_alloc(size_t size, size_t align) { return alloc(size, align); }
void *galloc_alloc_zeroed(size_t size, size_t align) { return alloc_zeroed(size, align); }
void galloc_dealloc(void *ptr, size_t size, size_t align) { dealloc(ptr, size, align); }

void *galloc_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) {
	return reallocate(ptr, old_size, align, new_size);
}

void *galloc_allocate(size_t size, size_t align) { return alloc(size, align); }
void galloc_deallocate(void *ptr, size_t old_size, size_t align) { dealloc(ptr, old_size, align); }

void *galloc_reallocate(void *ptr, size_t old_size, size_t size, size_t align) {
	return reallocate(ptr, old_size, align, size);
}

size_t galloc_reallocate_inplace(void *ptr, size_t old_size, size_t size, size_t align) {
	if (ptr == NULL || old_size == 0 || size == 0 || IN_CHILD) return old_size;
	return gallocGoResize(ptr, old_size, align, size) ? size : old_size;
}

size_t galloc_usable_size(size_t size, size_t align) {
	if (IN_CHILD) return size;
	return gallocGoUsableSize(size, align);
}

const char *galloc_name(void) {
	if (IN_CHILD) return "the arena of a forked process, in the place of the allocator";
	return gallocGoName();
}
