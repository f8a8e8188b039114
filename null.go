package galloc

import "unsafe"

// Null is the allocator that never has memory: every size but 0 fails with ErrOutOfMemory, or nil.
// It ends chains of allocators that ask one another, and shows in tests what code does without
// memory. It is a [GlobalAlloc] and an [Allocator]. Since there are no blocks of it, giving
// one back is a bug of the caller's, and panics. Safe for concurrent use.
var Null null

var (
	_ GlobalAlloc = Null
	_ Owner       = Null
	_ Resetter    = Null
)

type null struct{}

func (null) Allocate(l Layout) ([]byte, error) {
	if l.size == 0 {
		return emptyBlock(l), nil
	}
	return nil, ErrOutOfMemory
}

func (null) Deallocate(p unsafe.Pointer, l Layout) { Null.Dealloc(p, l) }

func (null) Alloc(l Layout) unsafe.Pointer {
	if l.size == 0 {
		return l.Dangling()
	}
	return nil
}

func (null) Dealloc(_ unsafe.Pointer, l Layout) {
	if l.size != 0 {
		panic("galloc: Null was given a block back, and cannot have handed it out")
	}
}

func (null) Owns(unsafe.Pointer) bool { return false }
func (null) Reset()                   {}
func (null) String() string           { return "galloc.Null" }
