// Package collections holds the data of a program off the Go heap, in memory from a galloc
// allocator. The garbage collector neither scans nor counts it; the program frees it.
//
//	var v collections.Vec[float64]     // a growing array; the zero value is ready to use
//	defer v.Free()
//	v.Append(1, 2, 3)
//	for _, x := range v.Slice() { ... } // a slice, and as fast as any
//
// [Vec], [Bytes] and [Deque] are growing arrays. [Slab] holds values under handles that detect when
// they are stale. [Map], [StringMap], [TextMap] and [Set] are hash tables, and [LinkedMap] is one
// that is a list too, for LRU caches. [BTree] keeps its keys in order. [Interner] turns strings
// into small numbers. [Array], [String], [Slice], [Ptr], [Rc] and [Arc] are values of one to three
// words that own memory, for use as elements of the others.
//
// The following holds for all of them. The documentation of a type says what is special to it.
//
// # Elements
//
// Elements, keys and values must contain no Go pointers (no strings, slices, maps, interfaces or
// pointers), because the garbage collector does not see them. The first insertion of another type
// fails with an error that wraps galloc.ErrPointers and names the field, on galloc.GoHeap too. Use
// a [String] for a string, an [Array] or [Slice] for a slice, Vec or Deque, a [Ptr] or a [Handle]
// for a pointer, and one map whose keys have both parts for a map of maps. The methods of these
// values take their allocator, since they cannot hold it.
//
// # Allocators
//
// The zero value of a collection is empty and allocates from galloc.Global. There are up to three
// constructors for another allocator; a nil allocator means galloc.Global. They panic if the
// allocator is a nil pointer or a zero heap.Heap.
//
//	NewVec(a)           empty; allocates nothing
//	MakeVec(a, n)       empty, with capacity for at least n elements, or an error
//	CollectVec(a, seq)  the elements of seq, or an error
//
// A collection allocates at the first insertion or reservation. It is used through a pointer and
// must not be copied after the first use, which go vet reports; Clone copies it. Concurrent use is
// safe under the same rule as for slices and maps: several readers, or one writer. The hash tables
// panic where they detect that a second goroutine uses them during a write, as Go's maps do.
//
// # Verbs
//
// One word means the same in every collection that has it:
//
//	Len                   the number of elements
//	Cap                   the number of elements that fit without allocating
//
//	At(i), Set(i, x)      read, replace element i
//	Push, Pop             add, remove the last element; PushFront, PopMin, ... name the end
//	Append, AppendSeq     add several elements at the end
//	Insert(i, xs...)      add elements before element i
//	Remove(i)             remove element i and return it; later ones move up
//	Resize(n)             change the length; new elements are zero
//	SwapRemove(i)         remove element i and return it; the last one takes its place
//
//	Get(key)              the value (V, bool)
//	Has(key)              whether key is present
//	Put(key, v), PutSeq   set the value of key, present or not
//	PutIfAbsent(key, v)   set the value of key if key is absent
//	GetOrPut(key)         a pointer to the value (*V, bool); adds a zero value if key is absent
//	Add(x), AddSeq        add an element to a collection without values (Set) or keys (Slab)
//	Delete(key)           remove key and return its value (V, bool), in a Set only the bool
//	DeleteRange(low, hi)  remove the entries of a BTree with low <= key < high
//	PopAny                remove some entry of a hash table and return it
//	MoveToBack(key)       move an entry of a LinkedMap to the end of the list
//
//	Ptr(i), Ptr(key)      a pointer to a value; nil if key is absent
//	DeleteFunc(del)       remove the elements for which del returns true
//	Clear                 remove all elements and keep the memory
//	All, Backward         iterate over indices or keys, and values
//	Keys, Values          iterate over one of the two
//	Pointers              iterate over keys and pointers to the values
//	Equal, EqualFunc      compare the elements by ==, or by a function
//	String, Format        print the first 100 elements; a verb of package fmt applies to each
//
//	Reserve(n)            ensure capacity for at least n more elements
//	ReserveExact(n)       the same, without asking for more
//	ShrinkToFit           release the memory that the elements do not need
//	Clone                 copy, on the same allocator
//	Free, FreeFunc        release all memory
//
// # Running out of memory
//
// A method that may allocate aborts when memory runs out, as Go's append does: it calls
// galloc.HandleAllocError, which does not return. Each has a twin, TryPush for Push, that returns
// the error instead and leaves the collection unchanged. (TryPutSeq and TryAddSeq stop at the first
// error and keep the elements that they have added.) A function that creates something returns an
// error.
//
// A capacity that cannot exist is a *galloc.LayoutError, and more than 2^31 nodes or slots is
// galloc.ErrUnsupported. These, and ErrPointers, are the caller's errors: methods without Try panic
// with them.
//
// Arrays grow to twice their capacity, or to the capacity needed if that is more, so that n
// insertions cost O(n). If there is no memory for that, they try half of the addition, a quarter,
// and so on, and at last the capacity needed: an insertion fails only if that does not fit. A
// [Slab], [LinkedMap] or [BTree] adds at least a 32nd to a 16th of its memory. The first capacity
// is 8 for elements of 1 byte, 1 for elements of more than 1024 bytes, and 4 otherwise. If the
// allocator returns more bytes than requested, they are capacity too.
//
// # Freeing
//
// ShrinkToFit does nothing if there is no memory for a smaller copy; TryShrinkToFit returns the
// error. A [Slab] and a [LinkedMap] have neither, because their values do not move. After Free a
// collection is empty, keeps its allocator, and can be used again. A collection that is dropped
// without Free leaks its memory, unless its allocator is freed as a whole, as an arena is. Package
// memcheck finds such leaks and names the line of the program that filled the collection.
//
// If elements own memory, the program frees them: FreeFunc(f) calls f once for each element and
// then frees the collection; f must not use the collection. If f panics, the element it was called
// with counts as freed, the elements after it stay, and another FreeFunc goes on with them. Methods
// that remove one element return it. Put overwrites the old value; use GetOrPut to free that first.
//
// # Views
//
// Slices, strings and pointers into a collection, and its iterators, are views. A view is valid
// until the next call that may move or remove its elements, as each type says, and until Free.
// Using it later reads or writes memory that may belong to something else. Only a checking
// allocator and the handles of a [Slab] or [LinkedMap] detect that. The examples of the package
// show the common traps.
//
// Removed elements are not wiped. If that matters, overwrite them first.
package collections

// Doc comments of the same method say the same in every collection, in these words. They end with
// whatever is special: cost, what invalidates a view, panics.
//
//	NewX returns an empty X that allocates from a, or from galloc.Global if a is nil.
//	MakeX returns an empty X on a with capacity for at least n elements.
//	CollectX returns an X on a with the elements of seq.
//	Len returns the number of elements.
//	Cap returns the number of elements that fit without allocating.
//	At returns element i. It panics if i is out of range.
//	Get returns the value of key; ok reports whether key is present.
//	Ptr returns a pointer to the value of key, or nil if key is absent. It is valid until ...
//	Has reports whether key is present.
//	Put sets the value of key to v.
//	PutSeq puts the pairs of seq, which may read m itself.
//	PutIfAbsent sets the value of key to v if key is absent, and reports whether it did.
//	GetOrPut returns a pointer to the value of key; found reports whether key was present. If key
//	was absent, it has been added with the zero V.
//	Delete removes key and returns its value; ok reports whether key was present.
//	PopAny removes some entry and returns it; ok reports whether there was one.
//	DeleteFunc removes the entries for which del returns true. del must not use m.
//	Clear removes all elements and keeps the memory.
//	All returns an iterator over ..., in ... order.
//	Reserve ensures capacity for at least n more elements. It panics if n is negative.
//	ShrinkToFit releases the memory that the elements do not need.
//	Clone returns a copy of m on the same allocator.
//	Equal reports whether m and o have the same ..., compared by ==.
//	Format implements fmt.Formatter: see the package comment.
//	Free releases all memory. m is then empty and can be used again.
//	FreeFunc calls free for each ..., and then frees m.
//	TryX is like X but returns an error if memory runs out.
//
// The field of a collection for its allocator is alloc; nil means galloc.Global.
