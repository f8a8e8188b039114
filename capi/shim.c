//go:build cgo && unix

// The functions of galloc.h, which call the functions of export.go. Each adds two loads and two
// branches to the call of Go, to check whether the stack is kept, and whether Go can be called.
// Twice it cannot:
//
//   - Before Go has begun to start. The archive starts it by a constructor; a constructor that the
//     linker puts in front of it, such as a C++ static's, would wait forever.
//   - In the child of a fork. It has one thread, and Go's runtime in it would wait for the others
//     forever. A program there prepares for exec, and may allocate to do so.
//
// There blocks come from an arena without locks: an address that only grows. Nothing is reused,
// since in a child a block that is freed may be one of Go's, which look no different. Blocks of the
// early arena live on when Go has started, and are recognized by their addresses.
//
// Invariant of an arena: start <= next <= end. The bytes from next to end have not been allocated,
// and are zero.

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "_cgo_export.h"
#include "galloc.h"
#include "trace.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

// state is atomic: STARTED becomes READY at the first call of Go, which may be several at once.
static enum { EARLY, STARTED, READY, FORKED } state;

// is_ready is called if the state is not READY, and reports whether it is now.
static int is_ready(void) {
	if (state != STARTED) return 0;
	gallocGoSettle();
	__atomic_store_n(&state, READY, __ATOMIC_RELEASE);
	return 1;
}

#define WITHOUT_GO (__builtin_expect(__atomic_load_n(&state, __ATOMIC_ACQUIRE) != READY, 0) && !is_ready())

// ---- The arenas ----

static const size_t arena_size = SIZE_MAX > 0xffffffff ? (size_t)1 << 30 : (size_t)64 << 20;

struct arena {
	uintptr_t start, end;
	uintptr_t next; // atomic: there may be threads
};

static struct arena early, child;
static pthread_once_t early_once = PTHREAD_ONCE_INIT;

// reserve reserves address space for an arena, less if there is little. It does nothing for an
// arena that has some.
static void reserve(struct arena *a) {
	int saved = errno;
	for (size_t n = arena_size; a->start == 0 && n >= 1 << 16; n /= 2) {
		void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p != MAP_FAILED) {
			a->start = a->next = (uintptr_t)p;
			a->end = a->start + n;
		}
	}
	errno = saved;
}

static void reserve_early(void) { reserve(&early); }

// after_fork runs in the child, before fork returns there. A child of a child keeps the arena that
// it has. If Go has not begun to start, it will start in the child too.
static void after_fork(void) {
	if (state == EARLY) return;
	state = FORKED;
	reserve(&child);
}

// 101 is the first priority that programs may use: the handler that is registered first runs first
// in the child, so the handlers of others may allocate.
__attribute__((constructor(101))) static void on_load(void) { pthread_atfork(NULL, NULL, after_fork); }

// The linker keeps the constructors of a library together, in the order of its files. So another
// constructor runs either before this one and Go's, or after both; and then a call waits until Go
// has started.
__attribute__((constructor)) static void on_start(void) { state = STARTED; }

// valid reports whether the layout is valid, as layout in export.go does.
static int valid(size_t size, size_t align) {
	return align != 0 && (align & (align - 1)) == 0 && size <= (size_t)PTRDIFF_MAX + 1 - align;
}

// arena_alloc returns a block whose bytes are zero, since its memory was not used before. The
// address of a block of size 0 is its alignment.
static void *arena_alloc(size_t size, size_t align) {
	if (!valid(size, align)) return NULL;
	if (size == 0) return (void *)align;
	struct arena *a = &child;
	if (state == EARLY) {
		pthread_once(&early_once, reserve_early);
		a = &early;
	}
	uintptr_t was = __atomic_load_n(&a->next, __ATOMIC_RELAXED), p;
	do {
		size_t padding = -was & (align - 1);
		if (padding > a->end - was || size > a->end - was - padding) return NULL;
		p = was + padding;
	} while (!__atomic_compare_exchange_n(&a->next, &was, p + size, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return (void *)p;
}

// is_early reports whether a block is of the early arena.
static inline int is_early(void *ptr) {
	return __builtin_expect((uintptr_t)ptr - early.start < early.end - early.start, 0);
}

// ---- The functions ----

static inline void *alloc(size_t size, size_t align) {
	if (WITHOUT_GO) return arena_alloc(size, align);
	return (void *)gallocGoAlloc(size, align);
}

static inline void *alloc_zeroed(size_t size, size_t align) {
	if (WITHOUT_GO) return arena_alloc(size, align);
	return (void *)gallocGoAllocZeroed(size, align);
}

static inline void dealloc(void *ptr, size_t size, size_t align) {
	if (ptr == NULL || size == 0 || WITHOUT_GO || is_early(ptr)) return; // Go never sees an invalid address
	gallocGoDealloc(ptr, size, align);
}

static inline void *reallocate(void *ptr, size_t old_size, size_t align, size_t new_size) {
	if (ptr == NULL || old_size == 0) return alloc(new_size, align);
	if (!WITHOUT_GO && !is_early(ptr)) return (void *)gallocGoRealloc(ptr, old_size, align, new_size);
	if (!valid(old_size, align)) return NULL;
	void *p = alloc(new_size, align);
	if (p != NULL) memcpy(p, ptr, old_size < new_size ? old_size : new_size);
	return p;
}

void *galloc_alloc(size_t size, size_t align) {
	FROM_HOST;
	return alloc(size, align);
}

void *galloc_alloc_zeroed(size_t size, size_t align) {
	FROM_HOST;
	return alloc_zeroed(size, align);
}

void galloc_dealloc(void *ptr, size_t size, size_t align) {
	FROM_HOST;
	dealloc(ptr, size, align);
}

void *galloc_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) {
	FROM_HOST;
	return reallocate(ptr, old_size, align, new_size);
}

void *galloc_allocate(size_t size, size_t align) {
	FROM_HOST;
	return alloc(size, align);
}

void galloc_deallocate(void *ptr, size_t old_size, size_t align) {
	FROM_HOST;
	dealloc(ptr, old_size, align);
}

void *galloc_reallocate(void *ptr, size_t old_size, size_t size, size_t align) {
	FROM_HOST;
	return reallocate(ptr, old_size, align, size);
}

size_t galloc_reallocate_inplace(void *ptr, size_t old_size, size_t size, size_t align) {
	FROM_HOST;
	if (ptr == NULL || old_size == 0 || size == 0 || WITHOUT_GO || is_early(ptr)) return old_size;
	return gallocGoResize(ptr, old_size, align, size) ? size : old_size;
}

size_t galloc_usable_size(size_t size, size_t align) {
	if (WITHOUT_GO) return size;
	return gallocGoUsableSize(size, align);
}

// The name is kept here, where a detector of leaks finds its address. All calls of Go return the
// same.
static const char *name; // atomic

const char *galloc_name(void) {
	if (state == EARLY) return "the arena of the time before Go has started, in the place of the allocator";
	if (state == FORKED) return "the arena of a forked process, in the place of the allocator";
	const char *known = __atomic_load_n(&name, __ATOMIC_ACQUIRE);
	if (known == NULL) {
		known = gallocGoName();
		__atomic_store_n(&name, known, __ATOMIC_RELEASE);
	}
	return known;
}
