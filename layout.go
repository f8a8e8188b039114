package galloc

import (
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc/internal/engine"
)

// Layout is the size and alignment of a block of memory. Every allocation is
// asked for by a Layout, and a block is given back with the Layout it has.
//
// The alignment is a power of two, kept as its logarithm, so that one that is
// not cannot be represented. The zero value is valid: size 0, alignment 1.
// Layouts are small, comparable values: pass them, compare them, use them as
// map keys.
//
// Invariant, kept by every function here:
//
//	size <= MaxInt+1 - align     (so that size rounded up to align is at most MaxInt)
//	class == engine.ClassOf(size, 1<<lg)
type Layout struct {
	size  uintptr
	lg    uint32 // log2 of the alignment
	class uint32 // where the heap keeps such blocks: it depends on nothing else, and Alloc and Dealloc need not find it out each time
}

// newLayout returns the Layout of a size and an alignment that are known to be valid.
func newLayout(size uintptr, lg uint32) Layout {
	return Layout{size, lg, uint32(engine.ClassOf(size, 1<<lg))}
}

// NewLayout returns the Layout of size bytes at a multiple of align bytes.
// It fails with a *LayoutError if align is 0 or not a power of two, or if size
// rounded up to a multiple of align exceeds [math.MaxInt]. A size of 0 is valid
// with every power of two.
func NewLayout(size, align uintptr) (Layout, error) {
	if align == 8 && size < engine.TableLimit { // nearly always
		return Layout{size, 3, uint32(engine.ClassTable[(size+7)/8])}, nil
	}
	return anyLayout(size, align)
}

func anyLayout(size, align uintptr) (Layout, error) {
	if align&(align-1) != 0 || align == 0 || size > maxSize(align) {
		return Layout{}, newLayoutError(size, align)
	}
	return Layout{size, log2(align), uint32(engine.ClassOf(size, align))}, nil
}

// LayoutOf returns the Layout of a value of type T.
func LayoutOf[T any]() Layout {
	var v T
	return newLayout(unsafe.Sizeof(v), log2(unsafe.Alignof(v)))
}

// ArrayLayout returns the Layout of n values of type T, one after the other.
// It fails with a *LayoutError if n is negative or if the array does not fit in
// [math.MaxInt] bytes; arrays of a zero-size T of any length have size 0.
func ArrayLayout[T any](n int) (Layout, error) {
	var v T
	size, align := unsafe.Sizeof(v), unsafe.Alignof(v)
	hi, total := bits.Mul64(uint64(size), uint64(n))
	if n < 0 || hi != 0 || total > uint64(maxSize(align)) {
		return Layout{}, newCountError(size, align, n)
	}
	return newLayout(uintptr(total), log2(align)), nil
}

// LayoutOfValue returns the Layout of the memory that v stands for: of the
// elements of a slice, of the bytes of a string, of what a pointer points to
// (whether or not it is nil), and of v itself for any other type. The Layout of
// the nil interface is the zero Layout. It uses reflection; prefer LayoutOf where
// the type is known.
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
	return newLayout(t.Size()*n, log2(uintptr(t.Align())))
}

// StructLayout returns the Layout of a struct with the given fields in the given
// order, laid out as Go and C do, and the offset of each field. The size includes
// the padding behind the last field, so that such structs can stand in an array.
// It fails with a *LayoutError if the struct is too large.
//
// It differs from Go's own layout in one point: Go pads a struct that ends in a
// zero-size field, so that the field's address does not lie past the block.
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
func (l Layout) Align() uintptr { return 1 << (l.lg % bits.UintSize) } // lg is less: that saves a test

// AlignTo returns l with an alignment of at least align. The size stays as it is:
// it need not be a multiple of the alignment. It fails with a *LayoutError as
// NewLayout does.
func (l Layout) AlignTo(align uintptr) (Layout, error) {
	if align != 0 && align&(align-1) == 0 { // otherwise NewLayout reports it as it came
		align = max(align, l.Align())
	}
	return NewLayout(l.size, align)
}

// PaddingFor returns the number of bytes to add behind a block of l so that the
// address after them is a multiple of align, a power of two, provided that the
// block's own address is one. It panics if align is not a power of two.
func (l Layout) PaddingFor(align uintptr) uintptr {
	if align == 0 || align&(align-1) != 0 {
		panic(newLayoutError(l.size, align))
	}
	return roundUp(l.size, align) - l.size
}

// PadToAlign returns l with its size rounded up to a multiple of its alignment.
// It cannot fail: that is the invariant of Layout.
func (l Layout) PadToAlign() Layout {
	return newLayout(roundUp(l.size, l.Align()), l.lg)
}

// Extend returns the Layout of a block of l followed by one of next, and the
// offset of next in it. Padding is put between the two as the alignment of next
// needs, none behind them: see PadToAlign. It fails with a *LayoutError if the
// whole is too large.
func (l Layout) Extend(next Layout) (Layout, uintptr, error) {
	// No sum here can overflow: both terms are at most MaxInt+1.
	offset := roundUp(l.size, next.Align())
	size, lg := offset+next.size, max(l.lg, next.lg)
	if size > maxSize(1<<lg) {
		return Layout{}, 0, newLayoutError(size, 1<<lg)
	}
	return newLayout(size, lg), offset, nil
}

// ExtendPacked is Extend without padding: next stands right behind l, its
// alignment is ignored, and the result has the alignment of l.
func (l Layout) ExtendPacked(next Layout) (Layout, error) {
	return NewLayout(l.size+next.size, l.Align())
}

// Repeat returns the Layout of n blocks of l in a row, each aligned, and the
// distance from one to the next. There is no padding behind the last one. It
// fails with a *LayoutError if n is negative or if the whole is too large.
func (l Layout) Repeat(n int) (Layout, uintptr, error) {
	stride := l.PadToAlign().size
	if n == 0 {
		return newLayout(0, l.lg), stride, nil
	}
	hi, head := bits.Mul64(uint64(stride), uint64(n-1))
	total := head + uint64(l.size)
	if n < 0 || hi != 0 || total < head || total > uint64(maxSize(l.Align())) {
		return Layout{}, 0, newCountError(l.size, l.Align(), n)
	}
	return newLayout(uintptr(total), l.lg), stride, nil
}

// RepeatPacked is Repeat without padding: the blocks stand right behind one
// another, so only the first is sure to be aligned.
func (l Layout) RepeatPacked(n int) (Layout, error) {
	hi, total := bits.Mul64(uint64(l.size), uint64(n))
	if n < 0 || hi != 0 || total > uint64(maxSize(l.Align())) {
		return Layout{}, newCountError(l.size, l.Align(), n)
	}
	return newLayout(uintptr(total), l.lg), nil
}

// String returns l as in "Layout(size 24576, align 8192 = 1<<13)".
func (l Layout) String() string {
	return fmt.Sprintf("Layout(size %d, align %d = 1<<%d)", l.size, l.Align(), l.lg)
}

// LayoutError says which rule of Layout was broken, and by which numbers.
type LayoutError struct {
	Rule        string  // the rule
	Size, Align uintptr // in bytes: what was asked for, or the sum that came out
	Count       int     // of an array: the number of elements, each of Size bytes; otherwise 0
}

// Error returns the rule and the numbers.
func (e *LayoutError) Error() string {
	if e.Count != 0 {
		return fmt.Sprintf("galloc: invalid layout: %s (count %d, size %d, align %d)", e.Rule, e.Count, e.Size, e.Align)
	}
	return fmt.Sprintf("galloc: invalid layout: %s (size %d, align %d)", e.Rule, e.Size, e.Align)
}

func newLayoutError(size, align uintptr) *LayoutError {
	rule := "size rounded up to the alignment exceeds math.MaxInt"
	switch {
	case align == 0:
		rule = "alignment is zero"
	case align&(align-1) != 0:
		rule = "alignment is not a power of two"
	}
	return &LayoutError{Rule: rule, Size: size, Align: align}
}

func newCountError(size, align uintptr, n int) *LayoutError {
	rule := "total size exceeds math.MaxInt"
	if n < 0 {
		rule = "count is negative"
	}
	return &LayoutError{Rule: rule, Size: size, Align: align, Count: n}
}

// maxSize returns the largest size that goes with align, a power of two.
func maxSize(align uintptr) uintptr { return math.MaxInt + 1 - align }

// roundUp returns the least multiple of align, a power of two, that is at least n.
// For n <= MaxInt+1 it does not overflow: the result is at most MaxInt+1.
func roundUp(n, align uintptr) uintptr { return (n + align - 1) &^ (align - 1) }

func log2(align uintptr) uint32 { return uint32(bits.TrailingZeros64(uint64(align))) }
