// The stacks of hosts, for the reports of a memory checker: see trace.c.

#ifndef GALLOC_TRACE_H
#define GALLOC_TRACE_H

#include <stdint.h>
#include <sys/mman.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

enum { GALLOC_TRACE_NOTHING, GALLOC_TRACE_CALLER, GALLOC_TRACE_ALL };

// galloc_tracing is what is kept of the stack at each call. It is atomic.
__attribute__((visibility("hidden"))) extern int galloc_tracing;

// galloc_return is the address to which the latest function of galloc.h returns, in its host.
__attribute__((visibility("hidden"))) extern __thread uintptr_t galloc_return;

// FROM_HOST begins each function of galloc.h that calls Go.
#define FROM_HOST \
	if (__builtin_expect(__atomic_load_n(&galloc_tracing, __ATOMIC_RELAXED) != GALLOC_TRACE_NOTHING, 0)) \
		galloc_return = (uintptr_t)__builtin_return_address(0)

// The functions for Go's runtime.SetCgoTraceback, which says what their arguments are.
__attribute__((visibility("hidden"))) void galloc_traceback(void *);
__attribute__((visibility("hidden"))) void galloc_context(void *);
__attribute__((visibility("hidden"))) void galloc_symbolizer(void *);

#endif
