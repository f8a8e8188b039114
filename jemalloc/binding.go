//go:build cgo && galloc_jemalloc

// The calls of the library. Every operation is one call of C, because a crossing costs several
// times the work. Addresses are passed as uintptr_t: for a void* cgo would check at every call
// whether it points to Go memory.
//
// Nothing here is a variable that must be initialized, so all of it works before this package is
// initialized.

package jemalloc

/*
#ifdef __has_include
#if !__has_include(<jemalloc/jemalloc.h>)
#error "galloc/jemalloc: jemalloc's headers are not installed (Debian: apt-get install libjemalloc-dev), or build without -tags galloc_jemalloc"
#endif
#endif

// The je_ names exist whatever prefix the library was built with.
#define JEMALLOC_NO_DEMANGLE
#include <jemalloc/jemalloc.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#cgo LDFLAGS: -ljemalloc
#cgo noescape galloc_je_alloc
#cgo nocallback galloc_je_alloc
#cgo noescape galloc_je_allocate
#cgo nocallback galloc_je_allocate
#cgo noescape galloc_je_realloc
#cgo nocallback galloc_je_realloc
#cgo noescape galloc_je_reallocate
#cgo nocallback galloc_je_reallocate
#cgo noescape galloc_je_grow_zeroed
#cgo nocallback galloc_je_grow_zeroed
#cgo noescape galloc_je_resize
#cgo nocallback galloc_je_resize
#cgo noescape galloc_je_usable
#cgo nocallback galloc_je_usable
#cgo noescape galloc_je_free
#cgo nocallback galloc_je_free
#cgo noescape galloc_je_stats
#cgo nocallback galloc_je_stats
#cgo noescape galloc_je_read
#cgo nocallback galloc_je_read
#cgo noescape galloc_je_write
#cgo nocallback galloc_je_write
#cgo noescape galloc_je_write_string
#cgo nocallback galloc_je_write_string
#cgo noescape galloc_je_do
#cgo nocallback galloc_je_do

// A block is an address and its usable size.
typedef struct {
	void *p;
	uintptr_t n;
} galloc_je_block;

static inline void *galloc_je_alloc(uintptr_t size, int flags) { return je_mallocx(size, flags); }

// The size requested is the size of the class, so that MALLOCX_ZERO clears all of the block.
static inline galloc_je_block galloc_je_allocate(uintptr_t size, int flags) {
	galloc_je_block b = {NULL, je_nallocx(size, flags)};
	if (b.n != 0) b.p = je_mallocx(b.n, flags);
	return b;
}

static inline void *galloc_je_realloc(uintptr_t p, uintptr_t size, int flags) {
	return je_rallocx((void *)p, size, flags);
}

static inline galloc_je_block galloc_je_reallocate(uintptr_t p, uintptr_t size, int flags) {
	galloc_je_block b = {NULL, je_nallocx(size, flags)};
	if (b.n != 0) b.p = je_rallocx((void *)p, b.n, flags);
	return b;
}

// With MALLOCX_ZERO, rallocx clears the bytes past the real size that the block had before.
static inline galloc_je_block galloc_je_grow_zeroed(uintptr_t p, uintptr_t old_size, uintptr_t size, int flags) {
	uintptr_t real = je_sallocx((void *)p, 0);
	galloc_je_block b = galloc_je_reallocate(p, size, flags | MALLOCX_ZERO);
	if (b.p != NULL) {
		uintptr_t end = real < b.n ? real : b.n;
		if (end > old_size) memset((char *)b.p + old_size, 0, end - old_size);
	}
	return b;
}

// xallocx returns the real size after its attempt. If that is larger than the class of the new
// size, the block has not shrunk, and the new size would not fit it.
static inline int galloc_je_resize(uintptr_t p, uintptr_t size, int flags) {
	uintptr_t n = je_nallocx(size, flags);
	return n != 0 && je_xallocx((void *)p, size, 0, flags) == n;
}

static inline uintptr_t galloc_je_usable(uintptr_t size, int flags) { return je_nallocx(size, flags); }

static inline void galloc_je_free(uintptr_t p, uintptr_t size, int flags) {
	je_sdallocx((void *)p, size, flags);
}

static const char *const galloc_je_stats_names[] = {
	"stats.allocated", "stats.active", "stats.metadata", "stats.resident", "stats.mapped", "stats.retained",
};

// galloc_je_stats updates and reads the statistics. On failure *failed is the index of the
// unreadable one.
static int galloc_je_stats(size_t *values, int *failed) {
	uint64_t epoch = 1;
	*failed = -1;
	int err = je_mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
	for (int i = 0; i < 6 && err == 0; i++) {
		size_t n = sizeof values[i];
		*failed = i;
		err = je_mallctl(galloc_je_stats_names[i], &values[i], &n, NULL, 0);
	}
	return err;
}

static int galloc_je_read(const char *name, void *value, size_t size) {
	size_t n = size;
	int err = je_mallctl(name, value, &n, NULL, 0);
	return err == 0 && n != size ? EINVAL : err;
}

static int galloc_je_write(const char *name, void *value, size_t size) {
	return je_mallctl(name, NULL, NULL, value, size);
}

// If jemalloc keeps the string, it copies it.
static int galloc_je_write_string(const char *name, const char *value) {
	return je_mallctl(name, NULL, NULL, &value, sizeof value);
}

static int galloc_je_do(const char *name) { return je_mallctl(name, NULL, NULL, NULL, 0); }
*/
import "C"

import (
	"syscall"
	"unsafe"
)

// Available reports whether this program is built with jemalloc: with cgo and -tags
// galloc_jemalloc.
const Available = true

const zeroFlag = C.MALLOCX_ZERO

func libAlloc(size uintptr, flags int32) unsafe.Pointer {
	return C.galloc_je_alloc(C.uintptr_t(size), C.int(flags))
}

func libAllocZeroed(size uintptr, flags int32) unsafe.Pointer {
	return C.galloc_je_alloc(C.uintptr_t(size), C.int(flags|zeroFlag))
}

func libAllocate(size uintptr, flags int32) (unsafe.Pointer, uintptr) {
	b := C.galloc_je_allocate(C.uintptr_t(size), C.int(flags))
	return b.p, uintptr(b.n)
}

func libAllocateZeroed(size uintptr, flags int32) (unsafe.Pointer, uintptr) {
	b := C.galloc_je_allocate(C.uintptr_t(size), C.int(flags|zeroFlag))
	return b.p, uintptr(b.n)
}

func libRealloc(p unsafe.Pointer, size uintptr, flags int32) unsafe.Pointer {
	return C.galloc_je_realloc(C.uintptr_t(uintptr(p)), C.uintptr_t(size), C.int(flags))
}

func libReallocate(p unsafe.Pointer, size uintptr, flags int32) (unsafe.Pointer, uintptr) {
	b := C.galloc_je_reallocate(C.uintptr_t(uintptr(p)), C.uintptr_t(size), C.int(flags))
	return b.p, uintptr(b.n)
}

func libGrowZeroed(p unsafe.Pointer, oldSize, size uintptr, flags int32) (unsafe.Pointer, uintptr) {
	b := C.galloc_je_grow_zeroed(C.uintptr_t(uintptr(p)), C.uintptr_t(oldSize), C.uintptr_t(size), C.int(flags))
	return b.p, uintptr(b.n)
}

func libResize(p unsafe.Pointer, size uintptr, flags int32) bool {
	return C.galloc_je_resize(C.uintptr_t(uintptr(p)), C.uintptr_t(size), C.int(flags)) != 0
}

func libUsable(size uintptr, flags int32) uintptr {
	return uintptr(C.galloc_je_usable(C.uintptr_t(size), C.int(flags)))
}

func libFree(p unsafe.Pointer, size uintptr, flags int32) {
	C.galloc_je_free(C.uintptr_t(uintptr(p)), C.uintptr_t(size), C.int(flags))
}

// libStats returns the statistics in the order of statsNames, and on failure the index of the
// unreadable one, -1 for the epoch.
func libStats() (values [6]uint64, failed int, err error) {
	var v [6]C.size_t
	var f C.int
	code := C.galloc_je_stats(&v[0], &f)
	for i := range v {
		values[i] = uint64(v[i])
	}
	return values, int(f), errnoOf(code)
}

// libRead reads the control with this name, a C string, into the size bytes at p.
func libRead(name *byte, p unsafe.Pointer, size uintptr) error {
	return errnoOf(C.galloc_je_read((*C.char)(unsafe.Pointer(name)), p, C.size_t(size)))
}

func libWrite(name *byte, p unsafe.Pointer, size uintptr) error {
	return errnoOf(C.galloc_je_write((*C.char)(unsafe.Pointer(name)), p, C.size_t(size)))
}

func libReadString(name *byte) (string, error) {
	var s *C.char
	err := libRead(name, unsafe.Pointer(&s), unsafe.Sizeof(s))
	return C.GoString(s), err
}

func libWriteString(name, value *byte) error {
	return errnoOf(C.galloc_je_write_string((*C.char)(unsafe.Pointer(name)), (*C.char)(unsafe.Pointer(value))))
}

func libDo(name *byte) error { return errnoOf(C.galloc_je_do((*C.char)(unsafe.Pointer(name)))) }

// errnoOf returns the error that mallctl has returned, or nil for 0.
func errnoOf(code C.int) error {
	if code == 0 {
		return nil
	}
	return syscall.Errno(code)
}

// reasonOf explains an error of mallctl.
func reasonOf(err error) string {
	switch err {
	case syscall.ENOENT:
		return "jemalloc has no such control, or was built or started without what it needs"
	case syscall.EINVAL:
		return "the control's value is of another type, or this value is not allowed"
	case syscall.EPERM:
		return "the control cannot be read, or cannot be written"
	case syscall.EAGAIN:
		return "jemalloc has no memory for it"
	case syscall.EFAULT:
		return "jemalloc could not do it"
	}
	return err.Error()
}
