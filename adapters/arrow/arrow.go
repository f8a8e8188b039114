// Package arrow has an allocator for Apache Arrow whose memory comes from galloc: Arrow's buffers
// are then off the Go heap, counted, limited and checked like all other blocks.
//
//	mem := arrow.New(nil) // on galloc.Global
//	b := array.NewInt64Builder(mem)
//	defer b.Release()
//
// To use it where the program passes no allocator, assign it to Arrow's memory.DefaultAllocator
// before the first use of Arrow. The memory is not garbage: what the program does not Release is a
// leak. It is found as any other: by AllocatedBytes, by wrap.Stats or memcheck around the
// galloc.Allocator, or by GALLOC=debug.
//
// Arrow's interface has no errors. If memory runs out, the methods panic with the error, as Arrow's
// own allocators on C memory do; [Catch] makes it an error again at the border of an operation.
//
// The package depends on galloc only, since Arrow's interface has no types of Arrow.
package arrow

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Alignment is the alignment of all blocks, in bytes. Arrow recommends it.
const Alignment = 64

// Allocator implements memory.Allocator of arrow-go. It is safe for concurrent use if the
// galloc.Allocator is.
type Allocator struct {
	from  galloc.Allocator
	bytes atomic.Int64
}

// New returns an Allocator whose memory comes from a, or from galloc.Global if a is nil.
func New(a galloc.Allocator) *Allocator {
	if a == nil {
		a = galloc.Global
	}
	return &Allocator{from: a}
}

// Allocate returns size zero bytes, at a multiple of 64. The capacity is what the block has, which
// may be more. For size 0 it allocates nothing. It panics if size is negative, and with an error if
// memory runs out.
func (a *Allocator) Allocate(size int) []byte {
	if size == 0 {
		return []byte{}
	}
	b, err := galloc.AllocateZeroed(a.from, layout(size))
	return a.made(b, size, err)
}

// Reallocate returns a slice of size bytes that begins with the bytes of b. It is b itself if the
// capacity suffices, as with Arrow's own allocators. Otherwise b is freed, and what lies beyond its
// bytes is zero. If memory runs out, Reallocate panics with an error, and b stays as it is.
func (a *Allocator) Reallocate(size int, b []byte) []byte {
	switch {
	case size >= 0 && size <= cap(b):
		return b[:size]
	case cap(b) == 0:
		return a.Allocate(size)
	}
	for rest := range slices.Chunk(b[len(b):cap(b)], 256<<10) { // one clear cannot be preempted
		clear(rest)
	}
	grown, err := galloc.GrowZeroed(a.from, start(b), layout(cap(b)), layout(size))
	if err == nil {
		a.bytes.Add(-int64(cap(b)))
	}
	return a.made(grown, size, err)
}

// Free frees b, which Allocate or Reallocate has returned. Its length does not matter.
func (a *Allocator) Free(b []byte) {
	if cap(b) != 0 {
		a.bytes.Add(-int64(cap(b)))
		a.from.Deallocate(start(b), layout(cap(b)))
	}
}

// AllocatedBytes returns the number of bytes in blocks that are not freed, with what they have
// beyond the size asked for.
func (a *Allocator) AllocatedBytes() int64 { return a.bytes.Load() }

// AssertSize reports an error to t if AllocatedBytes is not size: with 0, at the end of a test,
// that something was not released.
func (a *Allocator) AssertSize(t TestingT, size int) {
	if n := a.AllocatedBytes(); n != int64(size) {
		t.Helper()
		t.Errorf("galloc/adapters/arrow: %d bytes are allocated, want %d", n, size)
	}
}

// TestingT is the part of testing.TB that AssertSize needs, as in Arrow.
type TestingT interface {
	Errorf(format string, args ...any)
	Helper()
}

// made returns the first size bytes of a new block, or panics with err, which then has the layout.
func (a *Allocator) made(b []byte, size int, err error) []byte {
	if err != nil {
		e, ok := err.(*galloc.AllocError)
		switch l := layout(size); {
		case !ok: // of an allocator that wraps its errors
			panic(fmt.Errorf("%w (%w)", galloc.ErrOutOfMemory.For(l), err))
		case e.Layout() == (galloc.Layout{}):
			panic(e.For(l))
		}
		panic(err)
	}
	a.bytes.Add(int64(len(b)))
	return b[:size]
}

// Catch calls f and returns the error with which an Allocator has panicked in it. Other panics pass
// through. Deferred calls in f have released what they release; Arrow's other objects leak.
func Catch(f func() error) (err error) {
	defer func() {
		v := recover()
		e, _ := v.(error)
		var failed *galloc.AllocError
		var tooLarge *galloc.LayoutError
		switch {
		case v == nil:
		case errors.As(e, &failed), errors.As(e, &tooLarge):
			err = e
		default:
			panic(v)
		}
	}()
	return f()
}

func layout(size int) galloc.Layout {
	if size < 0 {
		panic(fmt.Sprintf("galloc/adapters/arrow: negative size (%d)", size))
	}
	l, err := galloc.NewLayout(uintptr(size), Alignment)
	if err != nil {
		panic(err)
	}
	return l
}

// start returns the address of the block of b, which has a capacity.
func start(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
