// Package gotype reads the size of a type, and whether its values contain Go pointers, from the Go
// runtime's description of the type, without reflection.
package gotype

import (
	"math/bits"
	"reflect"
	"unsafe"
)

// A Type identifies a type. It has a pointer to the runtime's description of the type of pointers
// to it, which is never moved or freed, so Types are equal if the types are.
type Type struct{ pointer *pointerType }

// pointerType is the beginning of the runtime's description of a pointer type: abi.PtrType.
type pointerType struct {
	description
	elem *description
}

// description is the runtime's description of a type: abi.Type. The names of the fields without a
// use are in the comments.
type description struct {
	size     uintptr
	ptrBytes uintptr // number of bytes of a value up to the end of its last pointer
	_        uint32  // hash
	_        uint8   // flags
	align    uint8
	_        [2]uint8          // alignment in structs, kind
	_        [2]unsafe.Pointer // function for ==, data for the garbage collector
	_        [2]int32          // name, pointer type
}

// Of returns the type that a pointer points to: Of((*T)(nil)) is T. Generic functions pass the
// pointer to a function that calls Of: the compiler makes less of it than of a Type.
func Of(pointer any) Type {
	// SAFETY: the first word of an interface without methods is the address of its type's
	// description.
	return Type{*(**pointerType)(unsafe.Pointer(&pointer))}
}

// unknown is 0, or 1 if the runtime's descriptions do not have the fields above: a newer version of
// Go may have changed them.
var unknown = check()

// PointerFree reports whether values of type t contain no Go pointer. If it returns false, they may
// contain one.
func (t Type) PointerFree() bool { return t.pointer.elem.ptrBytes|unknown == 0 }

// Size returns the number of bytes of a value of type t. It is right if PointerFree has returned
// true.
func (t Type) Size() uintptr { return t.pointer.elem.size }

// Log2Align returns the binary logarithm of the alignment of type t. It is right if PointerFree has
// returned true.
func (t Type) Log2Align() uint32 { return uint32(bits.TrailingZeros8(t.pointer.elem.align)) }

// Reflect returns the type for package reflect.
func (t Type) Reflect() reflect.Type {
	var v any
	// SAFETY: v becomes a nil pointer of the type whose description it gets. See Of.
	*(**pointerType)(unsafe.Pointer(&v)) = t.pointer
	return reflect.TypeOf(v).Elem()
}

// check compares descriptions of known types.
func check() uintptr {
	type mixed struct {
		n [3]uint64
		s string
		_ [5]float32
	}
	const aligned = unsafe.Alignof(mixed{}.n)
	if is((*uint8)(nil), 1, 1, 0) && is((**uint8)(nil), word, word, word) && is((*[7]uint16)(nil), 14, 2, 0) &&
		is((*struct{})(nil), 0, 1, 0) && is((*any)(nil), 2*word, word, 2*word) &&
		is((*mixed)(nil), unsafe.Sizeof(mixed{}), aligned, unsafe.Offsetof(mixed{}.s)+word) {
		return 0
	}
	return 1
}

const word = unsafe.Sizeof(uintptr(0))

// is reports whether the description of the type that a pointer points to has these figures.
func is(pointer any, size, align, ptrBytes uintptr) bool {
	p := Of(pointer).pointer
	t := p.elem
	return p.size == word && p.ptrBytes == word && uintptr(p.align) == word &&
		t.size == size && uintptr(t.align) == align && t.ptrBytes == ptrBytes
}
