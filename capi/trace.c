//go:build cgo && unix

// The stacks of hosts. Go's traceback ends where C has called Go, so a memory checker would report
// the same place for all blocks of a host. With galloc_tracing, Go's runtime calls galloc_context
// at each call of Go, which keeps the stack of C, and galloc_traceback when Go collects a stack.
// The stack is unwound at once, since it cannot be later, when Go's calls are on another stack.
// That takes some microseconds, as the checker does for its own part.
//
// A checker in sampled mode keeps few stacks, so there only the caller is kept, which costs
// nothing.

#define _GNU_SOURCE // dladdr

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unwind.h>
#ifdef __linux__
#include <link.h>
#endif

#include "trace.h"

int galloc_tracing;
__thread uintptr_t galloc_return;

// DEPTH is the number of calls of Go at one time, each by a C function that Go has called. The
// stacks of deeper ones are not kept.
enum { DEPTH = 4, CALLS = 32 };

struct calls {
	uintptr_t n;
	uintptr_t pc[CALLS]; // return addresses, the latest call first
};

// A trace is what a thread keeps. It has pages of its own, since a library that is loaded into a
// running program gets little thread-local memory, and malloc may be the host's, which calls here.
struct trace {
	unsigned depth;
	struct calls at[DEPTH];
	char file[1024]; // see galloc_symbolizer
};

static __thread struct trace *trace;
static pthread_key_t key; // frees it when the thread ends
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void end_of_thread(void *t) {
	trace = NULL; // destructors that run later may allocate
	munmap(t, sizeof(struct trace));
}

static void make_key(void) { pthread_key_create(&key, end_of_thread); }

// own_trace returns the trace of this thread, or NULL if there is no memory.
static struct trace *own_trace(void) {
	if (trace == NULL) {
		pthread_once(&once, make_key);
		void *p = mmap(NULL, sizeof *trace, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED) return NULL;
		trace = p;
		pthread_setspecific(key, p);
	}
	return trace;
}

static _Unwind_Reason_Code add(struct _Unwind_Context *u, void *arg) {
	struct calls *c = arg;
	uintptr_t pc = _Unwind_GetIP(u);
	if (pc == 0) return _URC_END_OF_STACK;
	// What is above the host is the functions here and Go's.
	if (pc == galloc_return) c->n = 0;
	c->pc[c->n++] = pc;
	return c->n < CALLS ? _URC_NO_REASON : _URC_END_OF_STACK;
}

// galloc_context keeps the stack for a call of Go, or forgets it when the call returns.
void galloc_context(void *arg) {
	uintptr_t *context = arg;
	if (*context != 0) {
		trace->depth--;
		return;
	}
	int tracing = __atomic_load_n(&galloc_tracing, __ATOMIC_RELAXED);
	struct trace *t = tracing == GALLOC_TRACE_NOTHING ? NULL : own_trace();
	if (t == NULL || t->depth == DEPTH) return;
	struct calls *c = &t->at[t->depth++];
	c->n = 0;
	if (tracing == GALLOC_TRACE_ALL) _Unwind_Backtrace(add, c);
	if (galloc_return != 0 && (c->n == 0 || c->pc[0] != galloc_return)) { // the host has no tables to unwind
		c->n = 1;
		c->pc[0] = galloc_return;
	}
	galloc_return = 0;
	*context = (uintptr_t)c;
}

struct traceback {
	uintptr_t context, signal;
	uintptr_t *buf;
	uintptr_t max;
};

// galloc_traceback writes the stack that was kept, as addresses within the calls.
void galloc_traceback(void *arg) {
	struct traceback *t = arg;
	const struct calls *c = (struct calls *)t->context;
	uintptr_t n = 0;
	for (; c != NULL && n < c->n && n < t->max; n++) t->buf[n] = c->pc[n] - 1;
	if (n < t->max) t->buf[n] = 0;
}

struct symbol {
	uintptr_t pc;
	const char *file;
	uintptr_t line;
	const char *function;
	uintptr_t entry, more, data;
};

// galloc_symbolizer names the call at an address. Lines are not known, so the file is that of the
// machine code, with the address in it as addr2line takes it. The runtime copies what it gets.
void galloc_symbolizer(void *arg) {
	struct symbol *s = arg;
	struct trace *t = own_trace();
	Dl_info info;
	if (s->pc == 0 || t == NULL || !dladdr((void *)s->pc, &info) || info.dli_fname == NULL) return;
	uintptr_t base = (uintptr_t)info.dli_fbase;
#ifdef __linux__
	if (((const ElfW(Ehdr) *)base)->e_type == ET_EXEC) base = 0; // linked at a fixed address
#endif
	snprintf(t->file, sizeof t->file, "%s+0x%zx", info.dli_fname, (size_t)(s->pc - base));
	s->file = t->file;
	s->function = info.dli_sname != NULL ? info.dli_sname : "(C)";
	s->entry = (uintptr_t)info.dli_saddr;
}
