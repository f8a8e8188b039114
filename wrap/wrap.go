// Package wrap adds one behaviour to any allocator, and composes: a wrapper is an allocator
// again.
//
//	a := wrap.Stats(wrap.Limit(h, 64<<20)) // counts what goes through 64 MiB of the heap h
//
// Each constructor takes the allocator inside, where nil stands for the global one, and
// returns an [Allocator], or an interface with more methods if there is something to ask or to
// set. [Find] finds these parts in a composition.
//
//	Stats          counts calls and bytes, by size, with the peak
//	Tag            the same, for a purpose: all allocators with a tag together
//	Limit          has no more than so many bytes in use
//	Debug          finds mistakes in the use of memory
//	Fallback       asks a second allocator when the first one fails
//	Segregate      asks one for small blocks, another for large ones
//	StackFallback  takes from a buffer first
//	Lock           one call at a time
//	Trace          records a trace
//	Fail           fails when it is told to, for tests
//	NoAlloc        refuses in regions where nothing should allocate
//
// # What a wrapper keeps
//
// A wrapper has both faces, that of a [galloc.GlobalAlloc] with both optional methods, and
// that of a [galloc.Allocator] with all methods that have a default; where the allocator
// inside has the method, it is used. It is a [galloc.Owner], a [galloc.Resetter], and a
// [galloc.TypedAllocator] if and only if the allocator inside is: a type assertion tells the
// truth. So galloc.New on Stats(galloc.GoHeap) takes types with pointers in them, and
// everything wrapped can be registered as the global allocator, nested to any depth; only not
// if galloc.Global is at the bottom, which RegisterGlobal reports.
//
// Blocks are those of the allocator inside, without headers; those of Debug lie within them. But each must be freed through
// the wrapper that it was allocated through, since others would not know of it: a wrapper is
// equivalent to itself only. Blocks of size 0 pass by: they are not counted, not refused, and
// take nothing.
//
// # The order matters
//
// What is outside sees what is asked for, what is inside sees what is passed on.
// Stats(Limit(a, n)) counts refusals as failures; Limit(Stats(a), n) does not see them.
// Lock(Stats(a)) and Stats(Lock(a)) count the same, but the first one counts under the lock.
//
// # What it costs
//
// A call of a wrapper is a call of an interface method more. Stats, Tag and Limit do their
// work in sections of the P that they run on, without atomics, which costs about what the
// allocator itself does if that is as fast as the heap: BenchmarkComposition prints it. Fail
// and NoAlloc cost an atomic operation, Lock a mutex, Trace and Debug microseconds. No wrapper
// allocates on the Go heap per call, but these two, and NoAlloc where it refuses. Failing does not allocate
// either.
package wrap
