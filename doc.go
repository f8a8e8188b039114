// Package galloc provides Go programs with memory off the Go heap, which the garbage collector
// neither scans nor counts, from one global allocator that a program can replace.
//
// A [Layout] is the size and the alignment of a block. [Alloc], [AllocZeroed], [Realloc] and
// [Dealloc] allocate from the global allocator. An [Allocator] is any source of memory; [Global],
// [System] and [GoHeap] are Allocators. [New], [MakeSlice] and [Box] make typed values on an
// Allocator; if that is nil, on Global:
//
//	s, err := galloc.MakeSlice[float64](nil, 1_000_000)
//	if err != nil {
//		return err // out of memory is an error
//	}
//	defer galloc.FreeSlice(nil, s)
//
// Functions that allocate return an error, or nil if they return a pointer. Methods of collections
// that allocate abort the program, as append does, through [HandleAllocError], and have a twin with
// Try in its name that returns the error.
//
// To write an allocator, implement the two methods of [GlobalAlloc] or of [Allocator]. Implement
// the methods of the optional interfaces if yours do better than the defaults. Then test it by
// package alloctest.
//
// # What is freed by which call
//
// A block or value is freed on the allocator that it was allocated on, or on an equivalent one:
//
//	allocated by                         freed by
//	Alloc, AllocZeroed, Realloc          Dealloc or Realloc
//	Allocate, AllocateZeroed             Deallocate; Reset frees all blocks of the allocator
//	Grow, GrowZeroed, Shrink             Deallocate; the old block is freed by the call itself
//	New, NewUninit, Box.Leak             Free or Box.Adopt
//	MakeSlice, MakeSliceCap              FreeSlice
//	GrowSlice, AppendSlice               FreeSlice; the old slice is freed by the call itself
//	NewBox, Box.Set                      Box.Free or Box.Take
//	a collection                         its method Free
//	Get of a pool.Pool or a pool.Of      Put of the same pool
//	Get of a bufpool.Pool                Put of the pool, or Release of each owner
//	Get or Bytes of a bufpool.Scope      End of the scope
//	Alloc of a heap.Heap                 Dealloc of the heap, or Free if the layout is unknown
//	heap.New, bump.New, pool.New ...     Close, which frees all blocks
//
// # Choosing the allocator
//
// The first of these that applies chooses the global allocator; [DescribeGlobal] reports it, and
// what was overridden:
//
//  1. The program: a call of [RegisterGlobal], or the import of a package below global, such as
//     global/system, or another [Selection]. An import takes effect before any other package is
//     initialized.
//  2. The environment variable GALLOC, in executables only.
//  3. The linker's flag -X for the variable defaultAllocator of this package.
//  4. The build mode: the heap of package heap in executables, [System] in libraries.
//
// A plugin uses the allocator of the program that opens it. For example:
//
//	GALLOC=heap,limit=64MiB,decay=10s ./program
//	go build -ldflags='-X github.com/galloc-go/galloc.defaultAllocator=system'
//
// Both settings have the form NAME[,option=value...]; an empty one is unset. NAME is heap, system,
// debug, or, in programs that import the package of that name, jemalloc or mimalloc. A size is a
// whole number, with the unit B, KiB, MiB, GiB, TiB or none. If a setting is wrong, the program
// prints what to write and exits with status 2 before it begins, even if it chooses in code. A
// value that could have no effect is wrong too.
//
// The options of heap configure the heap of the process, heap.Default(), even if another allocator
// is chosen. They are fields of heap.Options:
//
//	limit=64MiB      HardLimit: at least 1MiB
//	softlimit=48MiB  SoftLimit: at least 1MiB
//	decay=10s        Decay: a duration from 1ms to 8760h, or never
//	purge=lazy       Purge: now or lazy
//	hugepages=on     HugePages: off or on
//	overcommit=on    Overcommit: off or on
//	checked=on       Checked: off or on
//
// debug is not an allocator: it puts the memory checker of package memcheck around the allocator
// that is chosen otherwise, also in code. Each misuse of the global allocator ends the program with
// a report. Most options are fields of memcheck.Options:
//
//	sample=100000     check about one allocation in 100000, for production
//	guard=end         or start, or either: each block gets its own pages, which detects reads
//	guardmin=1B, guardmax=1MiB, guardgap=64KiB, guardlimit=1000, guardspace=16GiB
//	redzone=64B, quarantine=256MiB, stackdepth=32
//	leaks=10s         write the list of leaks every 10 seconds
//	check=10s         verify all blocks every 10 seconds
package galloc
