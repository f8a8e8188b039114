// Package wrap adds behavior to allocators. A wrapper takes its memory from the allocator inside
// it, and is an allocator itself, so wrappers compose:
//
//	a := wrap.Stats(wrap.Limit(h, 64<<20)) // counts the use of a heap limited to 64 MiB
//
// These are the wrappers:
//
//	Stats          counts calls and bytes, by size, with the peak
//	Tag            counts the same, for all allocators with one tag together
//	Limit          fails rather than have more than a number of bytes in use
//	Fallback       asks a second allocator where the first one fails
//	Segregate      asks one allocator for small blocks, another for larger ones
//	StackFallback  allocates from a buffer first
//	Lock           makes one call at a time
//	Trace          records a trace of the calls
//
// [Find] finds a wrapper inside others. A nil allocator means the global one, [galloc.Global]; a
// nil pointer in the interface, or a zero heap.Heap, is refused with a panic. Package memcheck has
// a wrapper that finds misuses of memory, and package alloctest has wrappers for tests.
//
// # What every wrapper can do
//
// A wrapper is a [galloc.Allocator] and a [galloc.GlobalAlloc], and has all optional methods of
// both that have a default. Where the allocator inside has the method, the wrapper calls it. A
// block may be allocated by one interface and freed by the other. So every wrapper can be
// registered as the global allocator, with any number of wrappers inside, unless galloc.Global
// itself is inside, which RegisterGlobal reports.
//
// Some allocators have one of three abilities without a default: they know their blocks, they can
// free all blocks at once, or their memory can hold Go pointers. A wrapper passes these on: call
// [galloc.Owns] and [galloc.Reset] with the wrapper, and [galloc.New] or [galloc.MakeSlice] for
// values with pointers. If an allocator inside lacks the ability, the error is
// [errors.ErrUnsupported]. A wrapper also passes on a burden: the blocks of a wrapper of
// [galloc.GoHeap] are garbage collected, as [galloc.GarbageCollected] reports.
//
// # Which blocks belong to a wrapper
//
// A wrapper returns the blocks of the allocator inside, without a header. But each block must be
// freed through the wrapper that allocated it, since only that one accounts for it: a wrapper is
// equivalent only to itself. Blocks of size 0 take no memory, so wrappers neither count nor limit
// them.
//
// # Why the order matters
//
// The outer wrapper sees what the program asks for; the inner one sees what the outer one passes
// on. Stats(Limit(a, n)) counts a call that the limit refuses as a failure, and Limit(Stats(a), n)
// does not count it. Lock(Stats(a)) and Stats(Lock(a)) count the same, but the first one counts
// under the lock.
//
// # What a wrapper costs
//
// Each wrapper costs a call of an interface method. Stats, Tag and Limit change data of the P that
// they run on, without atomic operations; around a heap they also take the blocks out of its cache
// directly, so that a call takes about as long as a call of the heap. Around other allocators they
// add some 5 ns to a call. Lock costs a mutex, and Trace costs microseconds and Go memory. No other
// wrapper allocates on the Go heap for a call, not even when the call fails. BenchmarkComposition
// measures them all.
package wrap

import "github.com/galloc-go/galloc"

// Find returns the outermost layer of a that is a T. It begins with a itself and goes from each
// wrapper to the allocator inside, as errors.As does with errors:
//
//	a := wrap.Stats(wrap.Limit(bump.New(nil), n))
//	limiter, _ := wrap.Find[*wrap.Limiter](a)
//
// In a wrapper of two allocators, it searches all of the first before the second. A nil a means
// [galloc.Global].
func Find[T any](a galloc.Allocator) (T, bool) {
	a = orGlobal(a)
	for {
		if t, ok := a.(T); ok {
			return t, true
		}
		w, ok := a.(galloc.Wrapper)
		if !ok {
			var none T
			return none, false
		}
		if two, ok := a.(interface{ Second() galloc.Allocator }); ok {
			if t, ok := Find[T](w.Unwrap()); ok {
				return t, true
			}
			a = orGlobal(two.Second())
		} else {
			a = orGlobal(w.Unwrap())
		}
	}
}
