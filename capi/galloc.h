/*
 * galloc: memory allocators written in Go, for C, C++ and Rust.
 *
 * The functions serve the allocator that the library's Go side has registered as the global
 * one. In libgalloc that is galloc's heap; galloc_name tells.
 *
 * Layout. A block has a size in bytes and an alignment, which is a power of two, and a block is
 * given back with the size and the alignment that it has: nothing else remembers them. The size,
 * rounded up to a multiple of the alignment, must not exceed PTRDIFF_MAX. Where there is no such
 * layout, what allocates returns NULL, and what gives back does nothing.
 *
 * Failure is NULL. It happens when memory is exhausted, and for layouts that cannot be or are
 * not supported. No function throws or unwinds; errno means nothing afterwards.
 *
 * Size 0 never fails and takes no memory: the result is an address that is not NULL and a
 * multiple of the alignment (of 64 KiB at least, where that is greater and address space is
 * exhausted), and at which nothing may be read or written. It need not be given back, but may.
 * As an argument, NULL stands for a block of size 0, and so does any address along with size 0.
 *
 * Ownership. A block belongs to the caller from when it is returned until it is given back. It
 * must go back to the library that it came from, and through these functions: not to free, nor to
 * another library of this kind, nor may a block of malloc come here. What is given back twice, or
 * with a wrong layout, may end the process, as free does: with a message on stderr, by SIGABRT.
 *
 * Threads. Every function may be called by every thread at any time, also by destructors of
 * pthread keys and of C++ and Rust thread-locals, but
 *
 *   - not in a signal handler, as with malloc; and handlers that the host installs must have
 *     SA_ONSTACK, for a signal may arrive while a thread is in Go and on a small stack;
 *   - not between vfork or a bare clone and exec, where no fork handlers run;
 *   - after fork, without exec, only for what it takes to reach exec or _exit: in the child the
 *     allocator is not there any more, and the functions serve from an arena of 1 GiB (64 MiB on
 *     32 bits), where nothing is reused. Blocks from before the fork can be read, written,
 *     reallocated and given back, which does nothing.
 *
 * A call costs some 55 ns more than it does in Go, for the way there and back: a pair of them 20
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

/* ---- Four functions, as of Rust's GlobalAlloc since 2018 ---- */

/* galloc_alloc returns a block of size bytes at a multiple of align, with undefined contents, or
 * NULL. */
void *galloc_alloc(size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_alloc_zeroed is galloc_alloc with all size bytes zero. Memory that is known to be zero
 * is not written to. */
void *galloc_alloc_zeroed(size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_dealloc gives back the block at ptr, which must have exactly the given size and
 * alignment. It cannot fail, and does nothing if ptr is NULL or size 0. */
void galloc_dealloc(void *ptr, size_t size, size_t align);

/* galloc_realloc makes the block at ptr new_size bytes large, keeps its alignment and the first
 * min(old_size, new_size) bytes, and returns where it now is; ptr is invalid then, even if it is
 * the same address. If it returns NULL, the block is as and where it was. From size 0 it
 * allocates; to size 0 it gives the block back, and never returns NULL. */
void *galloc_realloc(void *ptr, size_t old_size, size_t align, size_t new_size) GALLOC_MUST_USE;

/* ---- Five functions, as of Rust's allocator crates from 2015 to 2017 (RFC 1183). Blocks may go
 *      both ways between the two families. ---- */

/* galloc_allocate is galloc_alloc. */
void *galloc_allocate(size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_deallocate is galloc_dealloc. */
void galloc_deallocate(void *ptr, size_t old_size, size_t align);

/* galloc_reallocate is galloc_realloc with the arguments in another order. */
void *galloc_reallocate(void *ptr, size_t old_size, size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_reallocate_inplace makes the block at ptr size bytes large, larger or smaller, without
 * moving it, and returns the size that it has now: size if it could, and otherwise old_size.
 * Exactly that must be given back. Size 0 cannot be had, nor left. */
size_t galloc_reallocate_inplace(void *ptr, size_t old_size, size_t size, size_t align) GALLOC_MUST_USE;

/* galloc_usable_size returns how many bytes are set aside for a block of that layout: size at
 * least. It is what to ask for in order to waste nothing, or how far galloc_reallocate_inplace
 * can go for certain; a block that was asked for with less is still of the size asked for.
 * For a layout that cannot be, it is size. */
size_t galloc_usable_size(size_t size, size_t align);

/* ---- What is behind them ---- */

/* galloc_name tells in words which allocator it is, and who has chosen it; in the child of a fork,
 * that it is the arena. The string is never freed, and must not be. */
const char *galloc_name(void);

#ifdef __cplusplus
}
#endif

#endif
