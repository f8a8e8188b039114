//go:build !race

package engine

import (
	"runtime"
	"unsafe"
)

// The cache of a P belongs to whoever runs on that P, and cannot be stopped before it is done with the cache: the runtime can neither
// preempt it meanwhile, nor stop the world. Meanwhile one must not panic, block, allocate Go memory, make a system call, or take
// longer than a microsecond. There are two ways.
//
// Slow paths pin: procPin makes the goroutine stay on its P until procUnpin, and returns the number of the P. Both are among the
// functions that the runtime keeps for other packages, as sync.Pool needs them in the same way.
//
// The fast path cannot afford that: procPin and procUnpin add to and take from a counter in memory, and four of these in a row make up
// most of a pair of Alloc and Free. But the runtime stops a goroutine at certain places only: where a function looks whether it
// needs more stack, and at the instructions that the compiler has marked as safe points. A function marked go:nosplit has neither. (The
// compiler's liveness analysis says so, and the runtime's own code relies on it.) So a section inside of such a function, which calls no other, is
// as good as pinned. All that it needs is the number of the P, which findP has found out how to get.

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// pinned says whether Pin and Leave exclude others by pinning. See pin_race.go.
const pinned = true

// A cacheLock is what guards a cache besides.
type cacheLock struct{}

// Pin pins, and returns the number of the P, for Cache.
func Pin() int { return procPin() }

// Cache returns the cache of the P that Pin has returned. It belongs to the caller until Leave. (Pin and Cache are two functions
// because each is small enough to be inlined.)
func (h *Heap) Cache(p int) *Cache {
	if uint(p) < MaxProcs {
		return h.caches[p].Load()
	}
	return &noCache
}

// Leave unpins.
func (*Cache) Leave() { procUnpin() }

// Mine returns the cache of P id, which is what ProcID has returned, and less than MaxProcs. It belongs to the caller until Done, provided that
// the caller is marked go:nosplit, and that what it calls meanwhile is so too, or inlined. If there is none, it is the empty cache that is also
// full. (These are two functions, and the test a third thing, because inlining and the order of branches come out best this way.)
//
//go:nosplit
func (h *Heap) Mine(id uint32) *Cache {
	if id < idLimit {
		return *(**Cache)(unsafe.Pointer(&h.caches[id%MaxProcs])) // SAFETY: Load does no more, but is a call where nothing is inlined
	}
	return &noCache
}

// Mine is Mine of the heap in force.
//
//go:nosplit
func Mine(id uint32) *Cache {
	return *(**Cache)(unsafe.Pointer(&inForce[id%MaxProcs])) // SAFETY: as above
}

// ProcID returns the number of the P that we run on, or any number if idLimit is 0.
//
//go:nosplit
func ProcID() uint32 {
	// SAFETY: findP has seen that there is a pointer to the P at that offset in the runtime's description of the thread, or else
	// there is some pointer to more than 4 bytes at its start.
	return **(**uint32)(unsafe.Add(getm(), offsetOfP))
}

// Done ends what Mine has begun.
func (*Cache) Done() {}

//go:linkname getm runtime.getm
func getm() unsafe.Pointer

// offsetOfP is where the pointer to the P is, in what getm points to; its first field is the number. idLimit is MaxProcs, or 0 if that
// is not known; then inForce stays empty.
var offsetOfP, idLimit = func() (uintptr, uint32) {
	if offset := findP(codeOf(procPin)); offset != 0 {
		return offset, MaxProcs
	}
	return 0, 0
}()

// codeOf returns the machine code of f, which has as many bytes at least.
func codeOf(f func() int) *[32]byte {
	// SAFETY: a function value is a pointer to a variable that begins with the address of the code.
	return **(***[32]byte)(unsafe.Pointer(&f))
}

// hold and release are for who looks into caches of others (whose numbers may change meanwhile), or has taken one away.
func (*Cache) hold()    {}
func (*Cache) release() {}

// grace returns when every section that was pinned when it was called has ended. Stack of all goroutines stops the world, and
// with a buffer of length 0 does nothing else: some 10 µs. A test holds that it waits for pinned sections.
func grace() { runtime.Stack(nil, true) }
