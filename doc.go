// Package galloc gives Go programs memory off the Go heap, which the garbage collector
// neither scans nor counts, from one global allocator that a program can replace.
//
// A [Layout] says how much memory, and how aligned. [Alloc], [AllocZeroed], [Realloc] and
// [Dealloc] get it from the global allocator and give it back. In executables that is the
// heap, pure Go, whose limits and statistics package heap knows, and [System] in what is built for
// others to load; unless the program calls [RegisterGlobal], once, with a [GlobalAlloc] of its choice,
// or imports a package below global, such as global/system, or has a [Selection] of its own; or unless
// the environment variable GALLOC or a flag of the linker names another one. RegisterGlobal tells
// them all, and [GlobalName] which of them is in force.
//
// An [Allocator] is what code takes that does not care where its memory comes from. [Global]
// and [System] are Allocators, and so is [GoHeap]. [New], [MakeSlice] and [Box] make typed
// values on any of them; nil stands for Global:
//
//	s, err := galloc.MakeSlice[float64](nil, 1_000_000)
//	if err != nil {
//		return err // out of memory is a value
//	}
//	defer galloc.FreeSlice(nil, s)
//
// To write an allocator, have the two methods of GlobalAlloc or of Allocator, more if you can
// do better than the defaults, and run package alloctest on it. When there is nothing else
// to do about a failure: [Must], [HandleAllocError] and its hook.
package galloc
