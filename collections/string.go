package collections

import (
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// String is an immutable string off the Go heap, in two words without Go pointers. Use it in place
// of a string in a [Vec], in the values of a [Map], or in a struct in them. The zero value is the
// empty string, which has no memory.
//
// A String is a value, and a copy of it is the same string. Exactly one of the copies must be
// freed, with the allocator that the String was made on; after that, none may be used. Concurrent
// reading is safe.
//
// Strings cannot be compared with ==, which would compare addresses. Use Equal and Compare. So they
// cannot be keys of a [Map] or elements of a [Set], which the compiler reports; a [StringMap] or
// [TextMap] has strings as keys, and a [BTreeFunc] can have Strings.
//
// A String cannot be on galloc.GoHeap, directly or through another allocator: the garbage collector
// would not see it. The functions here fail with galloc.ErrUnsupported then: see
// galloc.GarbageCollected.
type String struct {
	_  [0]useEqual
	at addr
	n  int
}

// useEqual makes == on a String an error of the compiler, which names the type.
type useEqual func()

// NewString returns a copy of s that is allocated from a, or from galloc.Global if a is nil.
// [Bytes.TakeString] makes a String of text written piece by piece.
func NewString(a galloc.Allocator, s string) (String, error) {
	if len(s) == 0 {
		return String{}, nil
	}
	watch()
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
	b = b[:len(s)]
	copyArray(b, unsafe.Slice(unsafe.StringData(s), len(s)))
	return stringOf(b), nil
}

// stringOf returns the String that owns the block b.
func stringOf(b []byte) String {
	return String{at: addr(unsafe.Pointer(unsafe.SliceData(b))), n: len(b)}
}

// View returns the text without copying it. It is valid until Free. With GALLOC=debug, View and the
// methods that read the text report the use of a String that was freed, if it is a block of the
// global allocator.
func (s String) View() string {
	checkUse(s.at)
	// SAFETY: the String owns n bytes at the address, and nothing changes them before Free.
	return unsafe.String((*byte)(s.at.pointer()), s.n)
}

// String returns a copy of the text on the Go heap. See View.
func (s String) String() string { return strings.Clone(s.View()) }

// Len returns the number of bytes.
func (s String) Len() int { return s.n }

// Equal reports whether s and t have the same text.
func (s String) Equal(t String) bool { return s.View() == t.View() }

// Compare compares the texts of s and t bytewise: it returns -1 if s is less than t, 0 if they are
// equal, and +1 if s is greater than t.
func (s String) Compare(t String) int { return strings.Compare(s.View(), t.View()) }

// Clone returns a copy of the text on a, which must be freed separately.
func (s String) Clone(a galloc.Allocator) String { return mustValue(s.TryClone(a)) }

// TryClone is like Clone but returns an error if memory runs out.
func (s String) TryClone(a galloc.Allocator) (String, error) { return NewString(a, s.View()) }

// Free returns the memory to a, the allocator that s was made on or an equivalent one, and makes s
// empty. All other copies of s are then invalid.
func (s *String) Free(a galloc.Allocator) {
	if s.n != 0 {
		l, _ := galloc.ArrayLayout[byte](s.n)
		deallocate(a, s.at.pointer(), l)
	}
	*s = String{}
}
