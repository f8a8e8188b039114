// Package misuse names the errors that a caller of an allocator can make. Packages heap and
// memcheck export a Kind each, with the values and the strings of this one.
package misuse

// A Kind is a kind of misuse.
type Kind uint8

// The kinds. A heap detects the first four; the memory checker detects all.
const (
	// DoubleFree: the block is not allocated; it was freed before.
	DoubleFree Kind = iota + 1
	// ForeignFree: the address that was freed or resized is not of this allocator.
	ForeignFree
	// InteriorFree: the address that was freed or resized is not the start of a block.
	InteriorFree
	// WrongLayout: the block has another size or alignment.
	WrongLayout
	// ZeroSize: the address of blocks of size 0 was freed with a size, or written to.
	ZeroSize
	// Overflow: bytes past the end of the block were written or accessed.
	Overflow
	// Underflow: bytes before the block were written or accessed.
	Underflow
	// UseAfterFree: bytes of a freed block were written or accessed, or it was resized.
	UseAfterFree
	// WildAccess: guarded memory was accessed, and no block is near.
	WildAccess
	// Overlap: an allocator has returned memory that is in use.
	Overlap
)

var names = [...]string{
	"no misuse", "double free", "foreign free", "interior free", "wrong layout", "zero-size block", "overflow", "underflow",
	"use after free", "wild access", "overlap",
}

// String returns the kind in words, such as "double free".
func (k Kind) String() string {
	if int(k) >= len(names) {
		return "unknown misuse"
	}
	return names[k]
}
