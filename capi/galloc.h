/*
 * galloc: memory allocators written in Go, for C, C++ and Rust.
 *
 * The functions serve the allocator that the library's Go side has registered as the global one. In
 * libgalloc it is galloc's heap; galloc_name returns its name.
 *
 * Layout. A block has a size in bytes and an alignment, which is a power of two. The caller frees a
 * block with its size and its alignment: the library does not store them. The size, rounded up to a
 * multiple of the alignment, must not exceed PTRDIFF_MAX. For an invalid layout, functions that
 * allocate return NULL, and functions that free do nothing.
 *
 * Failure is NULL. It means that memory is exhausted, or that the layout is invalid or not
 * supported. No function throws or unwinds; errno is unspecified after a call.
 *
 * Size 0 never fails and takes no memory: the result is an address that is not NULL and a multiple
 * of the alignment (of 64 KiB at least, if the alignment is greater and address space is
 * exhausted). Nothing may be read or written there. It may be freed, but need not be. As an
 * argument, NULL means a block of size 0, and so does any address with size 0.
 *
 * Ownership. The caller owns a block from when it is returned until it is freed. A block must be
 * freed by the library that allocated it, and by these functions: not by free, nor by another
 * library of this kind; and these functions must not free a block of malloc. A double free, or a
 * wrong layout, may end the process, as with free: with a message on stderr, by SIGABRT.
 *
 * Threads. Every thread may call every function at any time, also constructors of C++ statics, and
 * destructors of pthread keys and of C++ and Rust thread-locals, but
 *
 *   - not in a signal handler, as with malloc; and handlers that the host installs must have
 *     SA_ONSTACK, for a signal may arrive while a thread is in Go and on a small stack;
 *   - not between vfork or a bare clone and exec, where no fork handlers run;
 *   - after fork, without exec, only as needed to reach exec or _exit: in the child the allocator
 *     no longer works, and the functions serve from an arena of 1 GiB (64 MiB on 32 bits), where
 *     nothing is reused. Blocks from before the fork can be read, written, reallocated and freed;
 *     to free them does nothing.
 *
 * Constructors that run before the archive's have blocks of such an arena too, since Go has not
 * started: see README.md. They can be used and freed at any time. The process ends when main
 * returns or calls exit, but not when main calls pthread_exit: the threads of Go go on.
 *
 * A call costs about 55 ns more than in Go, for the way there and back: a pair of calls costs 20
 * times as much as malloc and free. See README.md.
 */
#ifndef GALLOC_H
#define GALLOC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GALLOC_MUST_USE __attribute__((warn_unused_result))
#else
#define GALLOC_MUST_USE
#endif

/* ---- Four functions: Rust's GlobalAlloc since 2018 ---- */

/* galloc_alloc returns a block of size bytes at a multiple of align, with undefined contents, or
 * NULL. */
void *galloc_alloc(size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_alloc_zeroed is galloc_alloc with all size bytes zero. Memory that is known to be zero
 * is not written to. */
void *galloc_alloc_zeroed(size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_dealloc frees the block at ptr, which must have exactly the given size and alignment. It
 * cannot fail, and does nothing if ptr is NULL or size is 0. */
void galloc_dealloc(void *ptr, size_t size, size_t align);

/* galloc_realloc changes the size of the block at ptr to new_size bytes, keeps its alignment and
 * its first min(old_size, new_size) bytes, and returns its new address; ptr is then invalid,
 * even if it is the same address. If galloc_realloc returns NULL, the block is unchanged. From
 * size 0 it allocates; to size 0 it frees the block, and never returns NULL. */
void *galloc_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) GALLOC_MUST_USE;

/* ---- Five functions: Rust's allocator crates from 2015 to 2017 (RFC 1183). A block of one family
 *      may be passed to the other. ---- */

/* galloc_allocate is galloc_alloc. */
void *galloc_allocate(size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_deallocate is galloc_dealloc. */
void galloc_deallocate(void *ptr, size_t old_size, size_t align);

/* galloc_reallocate is galloc_realloc with the arguments in another order. */
void *galloc_reallocate(void *ptr, size_t old_size, size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_reallocate_inplace grows or shrinks the block at ptr to size bytes without moving it, and
 * returns the size that the block now has: size on success, and otherwise old_size. The block must
 * be freed with exactly that size. It cannot resize from or to size 0. */
size_t galloc_reallocate_inplace(void *ptr, size_t old_size, size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_usable_size returns the number of bytes reserved for a block of that layout, at least
 * size. A caller that requests this size wastes nothing, and galloc_reallocate_inplace up to
 * this size never fails. A block requested with a smaller size still has the requested size. For
 * an invalid layout the result is size. */
size_t galloc_usable_size(size_t size, size_t align);

/* ---- The allocator ---- */

/* galloc_name returns the name of the allocator and how it was chosen; or, before Go has started
 * and in the child of a fork, that it is the arena. The caller must not free the string; the
 * library never does. */
const char *galloc_name(void);

#ifdef __cplusplus
}
#endif

#endif
