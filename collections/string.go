package collections

import (
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// String is an immutable string off the Go heap, in two words without Go pointers: what to have
// instead of a string in a [Vec], a [Map], or a struct in them. The zero value is the empty string,
// which has no memory.
//
// A String is a value, and a copy of it is the same string: exactly one of the copies is to be
// freed, with the allocator that the String was made on; afterwards none may be used. == compares
// addresses; to compare the text, compare the Views. Safe for concurrent reading.
//
// It cannot be made on galloc.GoHeap, directly or below another allocator: the garbage collector
// would not see it. The functions here fail with galloc.ErrUnsupported if they see that.
type String struct {
	at addr
	n  int
}

// NewString returns a copy of s on a, or on galloc.Global if a is nil, in O(len(s)). [Bytes.TakeString]
// makes a String of what has been written bit by bit.
func NewString(a galloc.Allocator, s string) String { return galloc.Must(TryNewString(a, s)) }

// TryNewString is NewString that returns the error.
func TryNewString(a galloc.Allocator, s string) (String, error) {
	if len(s) == 0 {
		return String{}, nil
	}
	if err := hidden(a); err != nil {
		return String{}, err
	}
	l, err := galloc.ArrayLayout[byte](len(s))
	if err != nil {
		return String{}, err
	}
	b, err := allocate(a, l)
	if err != nil {
		return String{}, err
	}
	copy(b, s)
	return String{addr(unsafe.Pointer(unsafe.SliceData(b))), len(s)}, nil
}

// View returns the text without copying it. It must not be used after Free.
func (s String) View() string {
	// SAFETY: n bytes at the address are the String's, and nobody changes them before Free.
	return unsafe.String((*byte)(s.at.pointer()), s.n)
}

// String returns the text as a string of Go's, copied to the Go heap. See View.
func (s String) String() string { return strings.Clone(s.View()) }

// Len returns the number of bytes.
func (s String) Len() int { return s.n }

// Clone returns a copy of the text on a, to be freed on its own.
func (s String) Clone(a galloc.Allocator) String { return NewString(a, s.View()) }

// TryClone is Clone that returns the error.
func (s String) TryClone(a galloc.Allocator) (String, error) { return TryNewString(a, s.View()) }

// Free gives back the memory to a, the allocator that s was made on or an equivalent one, and makes
// s empty. All other copies of s are then invalid.
func (s *String) Free(a galloc.Allocator) {
	if s.n != 0 {
		l, _ := galloc.ArrayLayout[byte](s.n)
		deallocate(a, s.at.pointer(), l)
	}
	*s = String{}
}
