// Package collections has what programs keep their data in, with memory from galloc: off the Go
// heap, neither scanned nor counted by the garbage collector, and given back when they say so.
//
//	var v collections.Vec[float64]     // a growing array; the zero value is ready
//	defer v.Free()
//	v.Append(1, 2, 3)
//	for _, x := range v.Slice() { ... } // as fast as a slice: it is one
//
// [Vec], [Bytes] and [Deque] are arrays that grow; [Slab] holds values under handles that know when
// they are stale; [Map], [StringMap], [TextMap] and [Set] are hash tables; [BTree] keeps its keys in order;
// [Interner] turns strings into small numbers. [String], [Rc] and [Arc] are values that own
// memory, to be put into the others.
//
// The following rules hold for all of them; a type's documentation says only what is special.
//
// # Elements
//
// Elements, keys and values must have no Go pointers in them (no strings, slices, maps, interfaces
// or pointers): the garbage collector does not see them where they are. The first insertion of
// another type fails with an error that wraps galloc.ErrPointers and names the field. That is
// so on galloc.GoHeap too. Use [String] in place of string.
//
// # Allocators
//
// The zero value of a collection is empty and takes its memory from galloc.Global. NewVec,
// NewDeque and so on take another allocator, and nil for Global. An empty collection has no memory:
// nothing is allocated before the first insertion or reservation. The collections are used by
// pointer and must not be copied after the first use (Clone makes copies), which go vet reports.
// They are no more safe for concurrent use than slices and maps: reading by several goroutines at
// once is, as long as nobody writes.
//
// # Running out of memory
//
// Whatever may allocate comes twice. Push, Append, Reserve and the like call
// galloc.HandleAllocError when memory runs out, as galloc.Must does, which does not return. TryPush,
// TryAppend, TryReserve return the error instead, and the collection is as it was before the
// call. A capacity that cannot exist is a *galloc.LayoutError: returned by the one, the value of
// a panic of the other, as ErrPointers is; more than 2^31 nodes or slots is galloc.ErrUnsupported likewise.
//
// Arrays grow to twice their capacity, or to what is needed if that is more, so that n insertions
// cost O(n); the first capacity is 8, 4 or 1, for elements of 1, up to 1024, or more bytes. Reserve(n) makes
// room for n more by this rule, ReserveExact for no more than that. All that the allocator gives
// beyond what it was asked for is capacity too.
//
// # Giving back
//
// Clear removes the elements and keeps the memory. ShrinkToFit gives back what the elements do not
// need, and does nothing where there is no memory for a smaller copy; a [Slab], whose values stay where they are,
// has none. Free gives back all; the collection is then empty, on the same allocator, and can be used
// again. To forget a collection without Free leaks its memory, but not on an allocator
// that is reset as a whole, such as an arena. wrap.Debug finds what was forgotten, and names the line
// of the program that has filled it.
//
// Elements that own memory themselves are the owner's to release: FreeFunc(f) calls f for each
// element, once, and then does what Free does; f must not use the collection. What takes single elements away
// returns them, and what puts one in place of another says that there was one: Put overwrites values.
//
// # Views
//
// Slices, strings and pointers into a collection, and its iterators, are views. They end with
// the next call that may move or remove what they show, as each type says, and with Free: then they
// show memory that may be somebody else's already. Nothing reports that, but for an
// allocator that checks, and for the handles of [Slab].
//
// Removed elements are not wiped. Where that matters, overwrite them first.
package collections
