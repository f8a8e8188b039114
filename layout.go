package galloc

import (
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// Layout is the size and the alignment of a block of memory. Every block is allocated with a Layout
// and freed with the same one.
//
// The alignment is stored as its logarithm, so it always is a power of two. The zero value is
// valid: size 0, alignment 1. Layouts are small and comparable: pass them by value, compare them
// with ==, use them as map keys.
//
// Invariant:
//
//	size <= MaxInt+1 - align     (so that size rounded up to align is at most MaxInt)
//	class is the size class of size and 1<<lg
type Layout struct {
	size  uintptr
	lg    uint32 // log2 of the alignment
	class uint32 // size class, a function of size and lg, computed once
}

// newLayout returns the Layout of a size and an alignment, which must be valid.
func newLayout(size uintptr, lg uint32) Layout {
	return Layout{size, lg, uint32(pages.ClassOf(size, 1<<lg))}
}

// NewLayout returns the Layout of size bytes at a multiple of align bytes. It fails with a
// [*LayoutError] if align is not a power of two, or if size rounded up to a multiple of align
// exceeds [math.MaxInt]. A size of 0 is valid with every power of two.
func NewLayout(size, align uintptr) (Layout, error) {
	// The error has a method instead of a text, and what functions do elsewhere is written out, so
	// that the compiler inlines NewLayout. If align is a power of two, its highest bit is above all
	// bits of align-1; otherwise both have the same highest bit.
	if align^(align-1) <= align-1 || size > math.MaxInt+1-align {
		return Layout{}, &LayoutError{Size: size, Align: align}
	}
	return Layout{size, uint32(bits.TrailingZeros64(uint64(align))), uint32(pages.ClassOf(size, align))}, nil
}

// isSmall reports whether l has a class of small blocks.
func (l Layout) isSmall() bool { return pages.IsSmall(uint8(l.class)) }

// LayoutOf returns the Layout of a value of type T.
func LayoutOf[T any]() Layout {
	var v T
	return newLayout(unsafe.Sizeof(v), block.Log2(unsafe.Alignof(v)))
}

// ArrayLayout returns the Layout of an array of n values of type T. It fails with a [*LayoutError]
// if n is negative or if the array exceeds [math.MaxInt] bytes. Arrays of a zero-size T have size
// 0, whatever n is.
func ArrayLayout[T any](n int) (Layout, error) {
	return arrayLayout(LayoutOf[T](), n)
}

// arrayLayout returns the layout of an array of n values of layout l, whose size is a multiple of
// the alignment.
func arrayLayout(l Layout, n int) (Layout, error) {
	hi, total := bits.Mul64(uint64(l.size), uint64(n))
	if n < 0 || hi != 0 || total > uint64(block.MaxSize(l.Align())) {
		return Layout{}, &LayoutError{Size: l.size, Align: l.Align(), Count: n}
	}
	return newLayout(uintptr(total), l.lg), nil
}

// LayoutOfValue returns the Layout of the elements of a slice, of the bytes of a string, of the
// variable that a pointer points to (the pointer may be nil), and of v itself for any other type.
// For a nil interface it is the zero Layout. It uses reflection; prefer [LayoutOf] if the type is
// known.
func LayoutOfValue(v any) Layout {
	if v == nil {
		return Layout{}
	}
	t := reflect.TypeOf(v)
	n := uintptr(1)
	switch t.Kind() {
	case reflect.String:
		return newLayout(uintptr(reflect.ValueOf(v).Len()), 0)
	case reflect.Slice:
		t, n = t.Elem(), uintptr(reflect.ValueOf(v).Len())
	case reflect.Pointer:
		t = t.Elem()
	}
	// The values exist, so their size is within the limit.
	return newLayout(t.Size()*n, block.Log2(uintptr(t.Align())))
}

// StructLayout returns the Layout of a struct with the given fields in the given order, laid out as
// in C, and the offset of each field. The size includes the padding after the last field, so that
// such structs can be elements of an array. It fails with a [*LayoutError] if the struct is too
// large.
//
// Go lays structs out in the same way, except that it pads a struct that ends in a zero-size field.
func StructLayout(fields ...Layout) (Layout, []uintptr, error) {
	var l Layout
	offsets := make([]uintptr, len(fields))
	for i, f := range fields {
		var err error
		if l, offsets[i], err = l.Extend(f); err != nil {
			return Layout{}, nil, err
		}
	}
	return l.PadToAlign(), offsets, nil
}

// Size returns the size in bytes.
func (l Layout) Size() uintptr { return l.size }

// Align returns the alignment in bytes, a power of two.
func (l Layout) Align() uintptr { return 1 << (l.lg % bits.UintSize) } // lg is less: saves a test

// SizeClass returns the number of the heap's size class for blocks of layout l, or 0 if they have
// none because their size is 0, or because the size exceeds 256 KiB or the alignment 4096. The
// numbers may change between releases.
func (l Layout) SizeClass() int { return int(l.class) }

// AlignTo returns l with an alignment of at least align. The size does not change, and need not be
// a multiple of the alignment. It fails as [NewLayout] does.
func (l Layout) AlignTo(align uintptr) (Layout, error) {
	if align != 0 && align&(align-1) == 0 { // otherwise NewLayout reports it
		align = max(align, l.Align())
	}
	return NewLayout(l.size, align)
}

// PaddingFor returns the number of bytes to add after a block of layout l so that the next address
// is a multiple of align, if the address of the block is one. It panics if align is not a power of
// two.
func (l Layout) PaddingFor(align uintptr) uintptr {
	if align == 0 || align&(align-1) != 0 {
		panic(&LayoutError{Size: l.size, Align: align})
	}
	return block.RoundUp(l.size, align) - l.size
}

// PadToAlign returns l with its size rounded up to a multiple of its alignment. It cannot fail: see
// the invariant of Layout.
func (l Layout) PadToAlign() Layout {
	return newLayout(block.RoundUp(l.size, l.Align()), l.lg)
}

// Extend returns the Layout of a block of l followed by a block of next, and the offset of the
// second. There is padding between the two if the alignment of next requires it, and none after
// them: see [Layout.PadToAlign]. It fails with a [*LayoutError] if the result is too large.
func (l Layout) Extend(next Layout) (Layout, uintptr, error) {
	// No sum here can overflow: both terms are at most MaxInt+1.
	offset := block.RoundUp(l.size, next.Align())
	size, lg := offset+next.size, max(l.lg, next.lg)
	if size > block.MaxSize(1<<lg) {
		return Layout{}, 0, &LayoutError{Size: size, Align: 1 << lg}
	}
	return newLayout(size, lg), offset, nil
}

// ExtendPacked is like Extend but without padding: it ignores the alignment of next. The result has
// the alignment of l.
func (l Layout) ExtendPacked(next Layout) (Layout, error) {
	return NewLayout(l.size+next.size, l.Align())
}

// Repeat returns the Layout of n blocks of l in a row, each aligned, and the distance from one to
// the next. There is no padding after the last block. It fails with a [*LayoutError] if n is
// negative or the result is too large.
func (l Layout) Repeat(n int) (Layout, uintptr, error) {
	stride := l.PadToAlign().size
	if n == 0 {
		return newLayout(0, l.lg), stride, nil
	}
	hi, head := bits.Mul64(uint64(stride), uint64(n-1))
	total := head + uint64(l.size)
	if n < 0 || hi != 0 || total < head || total > uint64(block.MaxSize(l.Align())) {
		return Layout{}, 0, &LayoutError{Size: l.size, Align: l.Align(), Count: n}
	}
	return newLayout(uintptr(total), l.lg), stride, nil
}

// RepeatPacked is like Repeat but without padding: only the first block is sure to be aligned.
func (l Layout) RepeatPacked(n int) (Layout, error) {
	hi, total := bits.Mul64(uint64(l.size), uint64(n))
	if n < 0 || hi != 0 || total > uint64(block.MaxSize(l.Align())) {
		return Layout{}, &LayoutError{Size: l.size, Align: l.Align(), Count: n}
	}
	return newLayout(uintptr(total), l.lg), nil
}

// String returns l as in "Layout(size 24576, align 8192 = 1<<13)".
func (l Layout) String() string {
	return fmt.Sprintf("Layout(size %d, align %d = 1<<%d)", l.size, l.Align(), l.lg)
}

// LayoutError is the error for a size and an alignment that no [Layout] can have.
type LayoutError struct {
	Size, Align uintptr // in bytes, as requested or as computed from the request
	Count       int     // the number of elements of an array, each of Size bytes; otherwise 0
}

// Error returns the rule and the numbers.
func (e *LayoutError) Error() string {
	if e.Count != 0 {
		return fmt.Sprintf("galloc: invalid layout: %s (count %d, size %d, align %d)", e.Rule(), e.Count, e.Size, e.Align)
	}
	return fmt.Sprintf("galloc: invalid layout: %s (size %d, align %d)", e.Rule(), e.Size, e.Align)
}

// Rule returns the rule that was broken, in words.
func (e *LayoutError) Rule() string {
	switch {
	case e.Align == 0:
		return "alignment is zero"
	case e.Align&(e.Align-1) != 0:
		return "alignment is not a power of two"
	case e.Count < 0:
		return "count is negative"
	case e.Count > 0 && e.Size == 0:
		return "more than math.MaxInt elements"
	case e.Count > 0:
		return "total size exceeds math.MaxInt"
	}
	return "size rounded up to the alignment exceeds math.MaxInt"
}

// Dangling returns the address of blocks of size 0: not nil, a multiple of l.Align(), and not the
// address of any block of memory. Nothing may be read or written there.
//
// The Go runtime rejects invented pointers. So for an alignment of at most 64 KiB the address is a
// static variable's; for a larger one it is address space without memory, reserved once per
// alignment. If the system cannot reserve it, the address is a multiple of 64 KiB only.
func (l Layout) Dangling() unsafe.Pointer {
	if l.Align() <= danglingAlign {
		return staticDangling
	}
	slot := &reservedDangling[l.lg]
	if p := slot.Load(); p != nil {
		return *p
	}
	return reserveDangling(slot, l.Align())
}

// danglingAlign is the alignment of the static variable. None of its pages is ever touched.
const danglingAlign = 64 << 10

var (
	danglingBlock    [2 * danglingAlign]byte
	danglingBase     = unsafe.Pointer(&danglingBlock)
	staticDangling   = unsafe.Add(danglingBase, -uintptr(danglingBase)&(danglingAlign-1))
	reservedDangling [64]atomic.Pointer[unsafe.Pointer]
)

// reserveDangling sets the slot of an alignment and returns the address.
func reserveDangling(slot *atomic.Pointer[unsafe.Pointer], align uintptr) unsafe.Pointer {
	p := staticDangling
	if !vm.GoMemory { // which has no address space without memory
		if q, err := vm.Reserve(vm.PageSize(), align); err == nil {
			p = q
		}
	}
	if !slot.CompareAndSwap(nil, &p) && p != staticDangling {
		_ = vm.Release(p, vm.PageSize()) // a failure only wastes address space
	}
	return *slot.Load()
}
